//! `GET /models` and `GET /models/{name}`: the catalogue.

use axum::{
    extract::{Path, RawQuery},
    response::Response,
};
use maud::{Markup, html};
use torchmesh_api::accounts::v1::ListingState;

use super::{
    super::{
        Page, Place,
        docs::{Client, snippets},
        encoded,
        parts::{self, Field},
    },
    offer,
};
use crate::{
    catalogue::{self, Model, Search},
    fail::Answer,
    upstream::{Described, Tensor},
    visit::Visit,
};

/// What can be chosen among.
const TASKS: [&str; 10] =
    ["generate", "embed", "rerank", "classify", "token-classify", "fill", "classify-image", "detect-objects", "detect-voice", "tensor"];

/// The catalogue.
pub async fn list(visit: Visit, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let said = |name: &str| {
        let mut fields = form_urlencoded::parse(query.as_bytes());
        fields.find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let search = Search { task: said("task"), words: said("q"), after: said("after") };
    let (models, next) = catalogue::search(&visit, &search).await?;
    let body = html! {
        (parts::head(visit.say("models.title"), visit.say("models.lead"), html! {}))
        (finder(&visit, &search))
        @if models.is_empty() {
            (parts::empty(visit.say("models.none"), html! {}))
        } @else {
            ul.cards { @for model in &models { li { (card(&visit, model)) } } }
        }
        @if !next.is_empty() { p.actions { a.button href=(path(&search, &next)) { (visit.say("models.next")) } } }
    };
    Ok(Page::new(Place::Models, visit.say("models.title"), body).answer(&visit))
}

fn path(search: &Search, after: &str) -> String {
    format!("/models?task={}&q={}&after={}", encoded(&search.task), encoded(&search.words), encoded(after))
}

fn finder(visit: &Visit, search: &Search) -> Markup {
    let tasks = TASKS.map(|task| (task, task_text(visit, task, "name")));
    let options: Vec<_> = [("", visit.say("models.any_task"))].into_iter().chain(tasks).collect();
    html! {
        form.row.finder method="get" action="/models" role="search" {
            (Field::text("q", visit.say("models.words"), &search.words).optional().show())
            (parts::select("task", visit.say("models.task"), &options, &search.task))
            button type="submit" { (visit.say("models.search")) }
        }
    }
}

fn card(visit: &Visit, model: &Model) -> Markup {
    let price = model.listing.as_ref().and_then(|listing| offer::price_in_short(visit, listing));
    html! {
        a.card href={ "/models/" (encoded(&model.name)) } {
            div.card-head { h2.mono { (model.name) } (state(visit, model)) }
            @match &model.listing {
                Some(listing) => p lang=[offer::language(visit, listing)] { (offer::summary(visit, listing)) },
                None => p { (task_text(visit, model.task(), "more")) },
            }
            p.faint {
                (task_text(visit, model.task(), "name"))
                @if let Some(listing) = &model.listing { " · " (offer::provider(visit, listing)) }
                @if let Some(served) = &model.served { " · " (visit.texts().fill("models.versions", &[("count", &served.versions.len().to_string())])) }
            }
            @if let Some(price) = price { p.faint { (price) } }
            @if let Some(measured) = model.listing.as_ref().and_then(|listing| offer::measured_in_short(visit, listing)) { p.faint { (measured) } }
        }
    }
}

/// What a task is called, or does; the task itself where nothing is said of it.
pub(in crate::pages) fn task_text<'a>(visit: &'a Visit, task: &'a str, what: &str) -> &'a str {
    visit.texts().find(&format!("task.{}.{what}", task.replace('-', "_"))).unwrap_or(task)
}

fn state(visit: &Visit, model: &Model) -> Markup {
    match model.listing.as_ref().map(torchmesh_api::accounts::v1::Listing::state) {
        Some(ListingState::Draft) => parts::badge("waiting", visit.say("listing.state.draft")),
        Some(ListingState::Retired) => parts::badge("bad", visit.say("listing.state.retired")),
        Some(ListingState::Deprecated) => parts::badge("waiting", visit.say("listing.state.deprecated")),
        _ if model.is_ready() => parts::badge("good", visit.say("models.ready")),
        _ => parts::badge("waiting", visit.say("models.not_ready")),
    }
}

/// One model, with calls to copy.
pub async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let model = catalogue::find(&visit, &name).await?;
    Ok(page(&visit, &model))
}

fn page(visit: &Visit, model: &Model) -> Response {
    let can_try = matches!(model.task(), "generate" | "embed" | "classify" | "classify-image");
    let actions = html! {
        @if can_try && model.is_ready() {
            a.button.primary href={ "/playground?model=" (encoded(&model.name)) } { (visit.say("models.try")) }
        }
    };
    let lead = model.listing.as_ref().map_or_else(|| task_text(visit, model.task(), "more"), |listing| offer::summary(visit, listing));
    let body = html! {
        p.crumb { a href="/models" { (visit.say("models.title")) } }
        (parts::head(&model.name, lead, actions))
        @if let Some(listing) = &model.listing { (offer::ending(visit, listing)) }
        div.two {
            section.said {
                @if let Some(listing) = &model.listing { (offer::description(visit, listing)) }
                (calls(visit, model))
                @if let Some(listing) = &model.listing { (offer::changelog(visit, listing)) (offer::terms(visit, listing)) }
            }
            section.facts {
                @if let Some(listing) = &model.listing { (offer::facts(visit, listing)) }
                @if let Some(served) = &model.served { (served_facts(visit, served)) }
            }
        }
    };
    Page::new(Place::Models, &model.name, body).answer(visit)
}

/// The first of them is open: each is a page of code.
fn calls(visit: &Visit, model: &Model) -> Markup {
    let examples = snippets::of_task(model.task(), &visit.app().config.gateway.public_address, &model.name);
    html! {
        h2 { (visit.say("models.call")) }
        @for (at, (name, code)) in examples.into_iter().enumerate() {
            details.example open[at == 0 || name == Client::Python.name()] { summary { h3 { (name) } } (parts::code(visit, &code)) }
        }
    }
}

fn served_facts(visit: &Visit, model: &Described) -> Markup {
    html! {
        (versions(visit, model))
        @if !model.inputs.is_empty() { (tensors(visit, visit.say("models.inputs"), &model.inputs)) }
        @if !model.outputs.is_empty() { (tensors(visit, visit.say("models.outputs"), &model.outputs)) }
    }
}

fn versions(visit: &Visit, model: &Described) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { (visit.say("models.version")) } th scope="col" { (visit.say("models.state")) } } }
            tbody {
                @for version in &model.versions {
                    tr {
                        th.mono scope="row" { (version.version) }
                        td { @if version.state == "READY" { (parts::badge("good", visit.say("models.ready"))) } @else { (parts::badge("waiting", &version.state)) } }
                    }
                }
            }
        }
    };
    html! { h2 { (visit.say("models.versions_title")) } (parts::scroll(visit.say("models.versions_title"), table)) }
}

fn tensors(visit: &Visit, title: &str, tensors: &[Tensor]) -> Markup {
    let table = html! {
        table {
            thead { tr { th scope="col" { (visit.say("models.name")) } th scope="col" { (visit.say("models.datatype")) } th scope="col" { (visit.say("models.shape")) } } }
            tbody {
                @for tensor in tensors {
                    tr { th.mono scope="row" { (tensor.name) } td.mono { (tensor.datatype) } td.mono { "[" (tensor.shape.join(", ")) "]" } }
                }
            }
        }
    };
    html! { h2 { (title) } (parts::scroll(title, table)) }
}
