//! `GET /`: what this is, in one screen.

use axum::response::Response;
use maud::{Markup, html};

use super::super::{Page, Place, docs::snippets, parts};
use crate::{fail::Answer, visit::Visit};

const POINTS: [(&str, &str); 3] =
    [("home.clients", "home.clients_more"), ("home.metered", "home.metered_more"), ("home.versions", "home.versions_more")];

/// The front page; it is there whoever is away.
pub async fn show(visit: Visit) -> Answer {
    let model = snippets::Pick::of(&visit).await.generate;
    Ok(page(&visit, &model))
}

fn page(visit: &Visit, model: &str) -> Response {
    let code = snippets::curl_chat(&visit.app().config.gateway.public_address, model);
    let body = html! {
        section.hero {
            div.words {
                p.eyebrow { (visit.say("home.eyebrow")) }
                h1 { (visit.say("home.title")) }
                p.lead { (visit.say("home.lead")) }
                p.actions { (first_step(visit)) a.button href="/models" { (visit.say("home.look")) } }
            }
            div.sample { (parts::code(visit, &code)) (answer_sample(visit)) }
        }
        section.points aria-label=(visit.say("home.points")) {
            @for (title, text) in POINTS { div.point { h2 { (visit.say(title)) } p { (visit.say(text)) } } }
        }
    };
    Page::new(Place::Elsewhere, visit.say("home.title"), body).answer(visit)
}

fn first_step(visit: &Visit) -> Markup {
    let (path, text) = match visit.person() {
        Some(_) => ("/console", "home.console"),
        None if visit.app().config.sign_up => ("/sign-up", "home.begin"),
        None => ("/sign-in", "nav.sign_in"),
    };
    html! { a.button.primary href=(path) { (visit.say(text)) } }
}

/// What comes back, as it comes.
fn answer_sample(visit: &Visit) -> Markup {
    html! { p.answered { span.dot {} (visit.say("home.answer")) } }
}
