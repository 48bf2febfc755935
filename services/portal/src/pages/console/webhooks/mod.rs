//! `/console/webhooks`: whom a tenant has told what happens, for its owners and admins.

mod deliveries;
mod form;
mod list;
mod one;
mod secret;
mod steps;

pub use deliveries::again;
pub use form::{begin, change, create};
pub use list::list;
pub use one::show;
pub use secret::{rotate, rotation};
pub use steps::{begin_again, removal, remove, step};

use maud::{Markup, html};
use torchmesh_api::accounts::v1::{ListWebhooksRequest, Webhook, WebhookState};

use super::super::{encoded, parts};
use crate::{
    fail::{Answer, Fail, where_on},
    visit::{Person, Visit},
};

/// The page of one.
fn path(id: &str) -> String {
    format!("/console/webhooks/{}", encoded(id))
}

/// Those of the member's tenant, which are few; none, where webhooks are off.
async fn all(visit: &Visit, person: &Person) -> Answer<Option<Vec<Webhook>>> {
    let accounts = &visit.app().accounts;
    let told = accounts.webhooks(person.token()).list_webhooks(accounts.ask(ListWebhooksRequest::default())).await;
    where_on(told.map(|told| told.into_inner().webhooks))
}

/// One that is the member's own tenant's; whatever else there may be does not exist.
async fn find(visit: &Visit, person: &Person, id: &str) -> Answer<Webhook> {
    let there = all(visit, person).await?.unwrap_or_default();
    there.into_iter().find(|webhook| webhook.id == id).ok_or_else(Fail::absent)
}

/// What people call it: what they said of it, else where it is.
fn name(webhook: &Webhook) -> &str {
    if webhook.description.is_empty() { &webhook.url } else { &webhook.description }
}

fn state(visit: &Visit, webhook: &Webhook) -> Markup {
    match webhook.state() {
        WebhookState::Enabled if webhook.failing_since_unix_ms > 0 => parts::badge("waiting", visit.say("webhooks.failing")),
        WebhookState::Enabled => parts::badge("good", visit.say("webhooks.enabled")),
        WebhookState::Disabled => parts::badge("plain", visit.say("webhooks.disabled")),
        WebhookState::SwitchedOff => parts::badge("bad", visit.say("webhooks.switched_off")),
        WebhookState::Unspecified => html! {},
    }
}

/// Of what it is told, in words.
fn events(visit: &Visit, webhook: &Webhook) -> Markup {
    let names = webhook.events.as_ref().map(|events| &*events.names).unwrap_or_default();
    html! {
        @if names.iter().any(|name| name == form::EVERY) { (visit.say("webhooks.every")) } @else { span.mono { (names.join(", ")) } }
    }
}
