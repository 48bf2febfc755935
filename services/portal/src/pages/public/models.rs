//! `GET /models` and `GET /models/{name}`: what can be called.

use axum::{extract::Path, response::Response};
use maud::{Markup, html};

use super::super::{Page, Place, docs::snippets, encoded, parts};
use crate::{
    fail::{Answer, Fail},
    upstream::{Described, Tensor},
    visit::Visit,
};

/// The catalogue.
pub async fn list(visit: Visit) -> Answer {
    let models = visit.app().gateway.catalogue().await?;
    let body = html! {
        (parts::head(visit.say("models.title"), visit.say("models.lead"), html! {}))
        @if models.is_empty() {
            (parts::empty(visit.say("models.none"), html! {}))
        } @else {
            ul.cards { @for model in models.iter() { li { (card(&visit, model)) } } }
        }
    };
    Ok(Page::new(Place::Models, visit.say("models.title"), body).answer(&visit))
}

fn card(visit: &Visit, model: &Described) -> Markup {
    let count = model.versions.len().to_string();
    html! {
        a.card href={ "/models/" (encoded(&model.name)) } {
            div.card-head { h2.mono { (model.name) } (state(visit, model)) }
            p { (task_text(visit, &model.task, "more")) }
            p.faint { (visit.texts().fill("models.versions", &[("count", &count)])) " · " (task_text(visit, &model.task, "name")) }
        }
    }
}

/// What a task is called, or does; the task itself where nothing is said of it.
fn task_text<'a>(visit: &'a Visit, task: &'a str, what: &str) -> &'a str {
    visit.texts().find(&format!("task.{}.{what}", task.replace('-', "_"))).unwrap_or(task)
}

fn state(visit: &Visit, model: &Described) -> Markup {
    if model.is_ready() { parts::badge("good", visit.say("models.ready")) } else { parts::badge("waiting", visit.say("models.not_ready")) }
}

/// One model, with calls to copy.
pub async fn show(visit: Visit, Path(name): Path<String>) -> Answer {
    let models = visit.app().gateway.catalogue().await?;
    let model = models.iter().find(|model| model.name == name).ok_or_else(Fail::absent)?;
    Ok(page(&visit, model))
}

fn page(visit: &Visit, model: &Described) -> Response {
    let gateway = &visit.app().config.gateway.public_address;
    let can_try = matches!(model.task.as_str(), "generate" | "embed" | "classify" | "classify-image");
    let actions = html! {
        @if can_try && model.is_ready() {
            a.button.primary href={ "/playground?model=" (encoded(&model.name)) } { (visit.say("models.try")) }
        }
    };
    let body = html! {
        p.crumb { a href="/models" { (visit.say("models.title")) } }
        (parts::head(&model.name, task_text(visit, &model.task, "more"), actions))
        div.two {
            section { h2 { (visit.say("models.call")) } @for (name, code) in snippets::of_task(&model.task, gateway, &model.name) { h3 { (name) } (parts::code(visit, &code)) } }
            section.facts {
                (versions(visit, model))
                @if !model.inputs.is_empty() { (tensors(visit, visit.say("models.inputs"), &model.inputs)) }
                @if !model.outputs.is_empty() { (tensors(visit, visit.say("models.outputs"), &model.outputs)) }
            }
        }
    };
    Page::new(Place::Models, &model.name, body).answer(visit)
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
