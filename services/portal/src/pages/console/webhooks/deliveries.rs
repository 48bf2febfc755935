//! What was sent to one, or is to be.

use axum::extract::Path;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{
    ListWebhookDeliveriesRequest, RedeliverWebhookRequest, Webhook, WebhookDelivery, WebhookDeliveryState, WebhookState,
};

use super::{parts, path};
use crate::{
    fail::Answer,
    figures,
    guard::Sent,
    pages::{encoded, see_other},
    visit::{Person, Visit},
};

/// As many as are shown.
const SHOWN: i32 = 50;

/// The last ones, the newest first.
pub(super) async fn of(visit: &Visit, person: &Person, id: &str) -> Answer<Vec<WebhookDelivery>> {
    let accounts = &visit.app().accounts;
    let asked = ListWebhookDeliveriesRequest { webhook_id: id.to_owned(), page_size: SHOWN, ..Default::default() };
    Ok(accounts.webhooks(person.token()).list_webhook_deliveries(accounts.ask(asked)).await?.into_inner().deliveries)
}

/// As a table; what one that is enabled was sent can be sent again.
pub(super) fn table(visit: &Visit, webhook: &Webhook, deliveries: &[WebhookDelivery]) -> Markup {
    if deliveries.is_empty() {
        return parts::empty(visit.say("webhooks.nothing_sent"), html! {});
    }
    let can_send = webhook.state() == WebhookState::Enabled;
    let has_dead = deliveries.iter().any(|one| one.state() == WebhookDeliveryState::Dead);
    let heads = ["changes.when", "webhooks.event", "webhooks.state", "webhooks.answer"];
    let list = html! {
        table {
            thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } th.number scope="col" { (visit.say("webhooks.attempts")) } th scope="col" { span.visually-hidden { (visit.say("keys.actions")) } } } }
            tbody { @for one in deliveries { (row(visit, webhook, one, can_send)) } }
        }
    };
    html! {
        (parts::scroll(visit.say("webhooks.deliveries"), list))
        @if can_send && has_dead {
            form method="post" action={ (path(&webhook.id)) "/redeliver" } {
                (parts::csrf(visit))
                button.small type="submit" { (visit.say("webhooks.redeliver")) }
            }
        }
    }
}

fn row(visit: &Visit, webhook: &Webhook, one: &WebhookDelivery, can_send: bool) -> Markup {
    html! {
        tr {
            td { (parts::moment(one.created_unix_ms, "")) }
            th.mono scope="row" { (one.event) br; span.faint { (one.message_id) } }
            td {
                (state(visit, one))
                @if one.next_attempt_unix_ms > 0 { br; span.faint { (visit.texts().fill("webhooks.next", &[("time", &figures::minute(one.next_attempt_unix_ms))])) } }
            }
            td.wrap { @if one.last_status > 0 { (one.last_status) " " } (one.last_error) }
            td.number { (one.attempts) }
            td.row-actions {
                @if can_send && one.state() != WebhookDeliveryState::Waiting {
                    form.inline method="post" action={ (path(&webhook.id)) "/deliveries/" (encoded(&one.id)) "/again" } {
                        (parts::csrf(visit))
                        button.small type="submit" { (visit.say("webhooks.again")) span.visually-hidden { " " (one.message_id) } }
                    }
                }
            }
        }
    }
}

fn state(visit: &Visit, one: &WebhookDelivery) -> Markup {
    match one.state() {
        WebhookDeliveryState::Waiting => parts::badge("waiting", visit.say("webhooks.waiting")),
        WebhookDeliveryState::Delivered => parts::badge("good", visit.say("webhooks.delivered")),
        WebhookDeliveryState::Dead => parts::badge("bad", visit.say("webhooks.dead")),
        WebhookDeliveryState::Unspecified => html! {},
    }
}

/// Sends one again.
pub async fn again(visit: Visit, person: Person, Path((id, delivery_id)): Path<(String, String)>, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked = RedeliverWebhookRequest { delivery_id, ..Default::default() };
    accounts.webhooks(person.token()).redeliver_webhook(accounts.ask(asked)).await?;
    Ok(see_other(&format!("{}?told=redelivered", path(&id))))
}
