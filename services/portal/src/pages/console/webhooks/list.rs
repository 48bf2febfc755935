//! The list.

use maud::{Markup, html};
use torchmesh_api::accounts::v1::Webhook;

use super::{all, events, name, parts, path, state};
use crate::{
    fail::Answer,
    pages::{Page, Place},
    visit::{Person, Visit},
};

/// The page.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let there = all(&visit, &person).await?;
    let new = html! { @if there.is_some() { a.button.primary href="/console/webhooks/new" { (visit.say("webhooks.new")) } } };
    let body = html! {
        (parts::told(&visit))
        (parts::head(visit.say("webhooks.title"), visit.say("webhooks.lead"), new))
        @match there.as_deref() {
            None => (parts::empty(visit.say("webhooks.off"), html! {})),
            Some([]) => (parts::empty(visit.say("webhooks.none"), html! {})),
            Some(webhooks) => (table(&visit, webhooks)),
        }
    };
    Ok(Page::new(Place::Webhooks, visit.say("webhooks.title"), body).answer(&visit))
}

fn table(visit: &Visit, webhooks: &[Webhook]) -> Markup {
    let heads = ["webhooks.webhook", "webhooks.events", "webhooks.state", "keys.created"];
    parts::scroll(
        visit.say("webhooks.title"),
        html! {
            table {
                thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } } }
                tbody {
                    @for webhook in webhooks {
                        tr {
                            th.wrap scope="row" {
                                a href=(path(&webhook.id)) { (name(webhook)) }
                                @if !webhook.description.is_empty() { br; span.faint { (webhook.url) } }
                            }
                            td.wrap { (events(visit, webhook)) }
                            td { (state(visit, webhook)) }
                            td { (parts::day(webhook.created_unix_ms, "")) }
                        }
                    }
                }
            }
        },
    )
}
