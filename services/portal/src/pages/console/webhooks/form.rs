//! Making one, and changing where it is and of what it is told.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{CreateWebhookRequest, UpdateWebhookRequest, Webhook, WebhookEvents};

use super::{
    find, one,
    parts::{self, Field},
    path, secret,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    pages::{Page, Place, see_other},
    visit::{Person, Visit},
};

/// Every event, also those that there will be.
pub(super) const EVERY: &str = "*";
/// What there is to be told of: docs/webhooks.md.
const EVENTS: &str = "invoice.issued invoice.reissued credit_note.issued payment.received payment.refunded partner.paid credit.added \
                      budget.reached calls.stopped calls.resumed subscription.changed key.created key.rotated key.revoked model.deprecated \
                      model.retired";

/// What is in the form.
#[derive(Debug, Default)]
pub(super) struct Filled {
    url: String,
    description: String,
    events: Vec<String>,
}

impl Filled {
    /// As it was typed.
    pub(super) fn typed(sent: &Sent) -> Self {
        Self { url: sent.text("url").to_owned(), description: sent.text("description").to_owned(), events: sent.all("events") }
    }

    /// As it is.
    pub(super) fn kept(webhook: &Webhook) -> Self {
        let events = webhook.events.clone().unwrap_or_default().names;
        Self { url: webhook.url.clone(), description: webhook.description.clone(), events }
    }

    /// The events that were chosen. None is a mistake: the accounts would take it for all of them.
    fn chosen(&self, visit: &Visit) -> Answer<WebhookEvents> {
        if self.events.is_empty() {
            return Err(Fail::new(StatusCode::BAD_REQUEST).saying(visit.say("webhooks.events_none")));
        }
        Ok(WebhookEvents { names: self.events.clone() })
    }
}

/// The fields.
pub(super) fn fields(visit: &Visit, filled: &Filled) -> Markup {
    html! {
        (Field { kind: "url", ..Field::text("url", visit.say("webhooks.url"), &filled.url) }.hint(visit.say("webhooks.url_hint")).show())
        (Field::text("description", visit.say("webhooks.description"), &filled.description).optional().hint(visit.say("webhooks.description_hint")).show())
        fieldset {
            legend { (visit.say("webhooks.events")) }
            (tick(visit.say("webhooks.every_later"), EVERY, filled))
            div.checks { @for event in EVENTS.split(' ') { (tick(visit.texts().find(&format!("event.{event}")).unwrap_or(event), event, filled)) } }
        }
    }
}

fn tick(text: &str, event: &str, filled: &Filled) -> Markup {
    let ticked = filled.events.iter().any(|name| name == event);
    html! {
        label.check {
            input type="checkbox" name="events" value=(event) checked[ticked];
            span { (text) @if event != EVERY { br; span.mono.faint { (event) } } }
        }
    }
}

/// The form of a new one.
pub async fn begin(visit: Visit, person: Person) -> Answer {
    if !person.may_change_webhooks() {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    let filled = Filled { events: vec![EVERY.to_owned()], ..Filled::default() };
    Ok(page(&visit, &filled, None))
}

fn page(visit: &Visit, filled: &Filled, fail: Option<&Fail>) -> Response {
    let body = html! {
        p.crumb { a href="/console/webhooks" { (visit.say("webhooks.title")) } }
        section.form.wide-form {
            h1 { (visit.say("webhooks.new")) }
            p.lead { (visit.say("webhooks.new_lead")) }
            (parts::wrong(visit, fail))
            form method="post" action="/console/webhooks" {
                (parts::csrf(visit))
                (fields(visit, filled))
                div.actions { button.primary type="submit" { (visit.say("webhooks.make")) } a.button href="/console/webhooks" { (visit.say("form.cancel")) } }
            }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Webhooks, visit.say("webhooks.new"), body).status(status).answer(visit)
}

/// Makes one. Its secret is on the page that answers, and nowhere else.
pub async fn create(visit: Visit, person: Person, sent: Sent) -> Answer {
    let (filled, accounts) = (Filled::typed(&sent), &visit.app().accounts);
    let asked = filled.chosen(&visit).map(|events| CreateWebhookRequest {
        url: filled.url.clone(),
        events: Some(events),
        description: filled.description.clone(),
        ..Default::default()
    });
    let made = match asked {
        Ok(asked) => accounts.webhooks(person.token()).create_webhook(accounts.ask(asked)).await.map_err(Fail::from),
        Err(fail) => Err(fail),
    };
    match made {
        Ok(made) => {
            let made = made.into_inner();
            Ok(secret::page(&visit, &made.webhook.unwrap_or_default(), &made.secret))
        }
        // Who may make none is not shown the form.
        Err(fail) if fail.is_about_the_form() && person.may_change_webhooks() => Ok(page(&visit, &filled, Some(&fail))),
        Err(fail) if fail.is_about_the_form() => Err(Fail::new(StatusCode::FORBIDDEN)),
        Err(fail) => Err(fail),
    }
}

/// Changes where it is, and of what it is told.
pub async fn change(visit: Visit, person: Person, Path(id): Path<String>, sent: Sent) -> Answer {
    let webhook = find(&visit, &person, &id).await?;
    let (filled, accounts) = (Filled::typed(&sent), &visit.app().accounts);
    let asked = filled.chosen(&visit).map(|events| UpdateWebhookRequest {
        id: id.clone(),
        // A new address has what failed forgotten: the same one is none.
        url: (filled.url != webhook.url).then(|| filled.url.clone()),
        events: Some(events),
        description: Some(filled.description.clone()),
        enabled: None,
    });
    let changed = match asked {
        Ok(asked) => accounts.webhooks(person.token()).update_webhook(accounts.ask(asked)).await.map_err(Fail::from),
        Err(fail) => Err(fail),
    };
    match changed {
        Ok(_) => Ok(see_other(&format!("{}?told=webhook", path(&id)))),
        Err(fail) if fail.is_about_the_form() => one::page(&visit, &person, &webhook, &filled, Some(&fail)).await,
        Err(fail) => Err(fail),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_event_that_the_documentation_has_can_be_chosen_and_no_other() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/webhooks.md");
        let text = fs::read_to_string(page).unwrap();
        let table = text.split("## What comes").nth(1).and_then(|rest| rest.split("## ").next()).unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).filter(|name| name.contains('.'));
        // One that is tried is told of that, whatever it is registered for.
        let known: BTreeSet<_> = rows.filter(|name| !name.starts_with("webhook")).collect();
        assert!(known.len() > 10, "{known:?}");
        assert_eq!(EVENTS.split(' ').collect::<BTreeSet<_>>(), known);
    }
}
