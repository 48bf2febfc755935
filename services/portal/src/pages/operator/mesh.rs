//! `GET /operator`: models, versions, and the workers that serve them.

use maud::{Markup, html};
use torchmesh_api::admin::v1::{Endpoint, EndpointVersion};

use super::{
    super::{Page, Place, parts},
    router,
};
use crate::{
    fail::Answer,
    figures,
    upstream::Described,
    visit::{Operator, Visit},
};

/// The page.
pub async fn show(visit: Visit, _who: Operator) -> Answer {
    let endpoints = router(visit.app())?.endpoints().await?;
    let models = visit.app().gateway.catalogue().await.unwrap_or_default();
    let in_flight: u64 = endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
    let tile = |name: &str, value: usize| html! { div.tile { dt { (name) } dd { (value) } } };
    let body = html! {
        (parts::head(visit.say("mesh.title"), visit.say("mesh.lead"), html! {}))
        dl.tiles {
            (tile(visit.say("mesh.workers"), endpoints.len()))
            (tile(visit.say("mesh.models"), models.len()))
            (tile(visit.say("mesh.in_flight"), usize::try_from(in_flight).unwrap_or(usize::MAX)))
        }
        section { h2 { (visit.say("mesh.models")) } (models_table(&visit, &models)) }
        @for endpoint in &endpoints { section { (worker(&visit, endpoint)) } }
    };
    Ok(Page::new(Place::Mesh, visit.say("mesh.title"), body).answer(&visit))
}

fn models_table(visit: &Visit, models: &[Described]) -> Markup {
    let heads = ["models.name", "mesh.task", "models.version", "models.state"];
    parts::scroll(
        visit.say("mesh.models"),
        html! {
            table {
                thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } } }
                tbody {
                    @for version in models.iter().flat_map(|model| model.versions.iter().map(move |version| (model, version))) {
                        tr {
                            th.mono scope="row" { (version.0.name) }
                            td { (version.0.task) }
                            td.mono { (version.1.version) }
                            td { (parts::badge(if version.1.state == "READY" { "good" } else { "waiting" }, &version.1.state.to_lowercase())) }
                        }
                    }
                }
            }
        },
    )
}

fn worker(visit: &Visit, endpoint: &Endpoint) -> Markup {
    let heads = ["models.name", "models.version"];
    let table = html! {
        table {
            thead { tr {
                @for head in heads { th scope="col" { (visit.say(head)) } }
                th.number scope="col" { (visit.say("mesh.in_flight")) }
                th.number scope="col" { (visit.say("mesh.latency")) }
                th scope="col" { (visit.say("models.state")) }
            } }
            tbody { @for version in &endpoint.versions { (served(visit, version)) } }
        }
    };
    html! { h2 { (endpoint.id) " " span.faint.mono { (endpoint.address) } } (parts::scroll(&endpoint.id, table)) }
}

fn served(visit: &Visit, version: &EndpointVersion) -> Markup {
    let latency = match version.latency * 1000.0 {
        ms if ms <= 0.0 => "–".to_owned(),
        ms if ms < 0.1 => "< 0.1 ms".to_owned(),
        ms => format!("{} ms", figures::short(ms)),
    };
    html! {
        tr {
            th.mono scope="row" { (version.model) }
            td.mono { (version.version) }
            td.number { (version.in_flight) }
            td.number { (latency) }
            td { @if version.left_alone { (parts::badge("bad", visit.say("mesh.left_alone"))) } @else { (parts::badge("good", visit.say("mesh.takes_calls"))) } }
        }
    }
}
