//! `/docs`: how to call, with code to copy that has the mesh's own address and a model of it.

mod languages;
pub mod snippets;
mod topics;

use axum::{extract::Path, response::Response};
use maud::{Markup, html};

use super::{Page, Place, parts};
use crate::{
    fail::{Answer, Fail},
    visit::Visit,
};

pub use languages::Client;

/// The beginning: a key, a first call, the errors.
pub async fn index(visit: Visit) -> Answer {
    let pick = snippets::Pick::of(&visit).await;
    let body = topics::quickstart(&visit, &pick);
    Ok(page(&visit, None, visit.say("docs.title"), &body))
}

/// One client.
pub async fn client(visit: Visit, Path(topic): Path<String>) -> Answer {
    let client = Client::parse(&topic).ok_or_else(Fail::absent)?;
    let pick = snippets::Pick::of(&visit).await;
    let body = topics::client(&visit, client, &pick);
    Ok(page(&visit, Some(client), client.name(), &body))
}

fn page(visit: &Visit, here: Option<Client>, title: &str, body: &Markup) -> Response {
    let body = html! {
        div.with-side {
            nav.side.docs aria-label=(visit.say("docs.title")) {
                div.links {
                    a href="/docs" aria-current=[here.is_none().then_some("page")] { (visit.say("docs.quickstart")) }
                }
                p.heading { (visit.say("docs.clients")) }
                div.links {
                    @for client in Client::ALL {
                        a href={ "/docs/" (client.as_str()) } aria-current=[(here == Some(client)).then_some("page")] { (client.name()) }
                    }
                }
            }
            article { (body) }
        }
    };
    Page::new(Place::Docs, title, body).answer(visit)
}

/// A heading, a text, and code.
fn section(visit: &Visit, title: &str, text: &str, code: &str) -> Markup {
    html! { section { h2 { (title) } @if !text.is_empty() { p { (text) } } (parts::code(visit, code)) } }
}
