//! `/console/webhooks/{id}`: one, what was sent to it, and what can be done with it.

use axum::extract::Path;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Webhook, WebhookState};

use super::{
    deliveries, events, find,
    form::{self, Filled},
    name, parts, path, state,
};
use crate::{
    fail::{Answer, Fail},
    pages::{Page, Place},
    visit::{Person, Visit},
};

/// The page.
pub async fn show(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let webhook = find(&visit, &person, &id).await?;
    page(&visit, &person, &webhook, &Filled::kept(&webhook), None).await
}

/// The page, with what is in its form and what was wrong.
pub(super) async fn page(visit: &Visit, person: &Person, webhook: &Webhook, filled: &Filled, fail: Option<&Fail>) -> Answer {
    let sent = deliveries::of(visit, person, &webhook.id).await?;
    let body = html! {
        (parts::told(visit))
        p.crumb { a href="/console/webhooks" { (visit.say("webhooks.title")) } }
        (parts::head(name(webhook), "", actions(visit, webhook)))
        (parts::wrong(visit, fail))
        @if webhook.state() == WebhookState::SwitchedOff { div.notice.bad { p { (visit.say("webhooks.switched_off_more")) } } }
        (facts(visit, webhook))
        section { h2 { (visit.say("webhooks.deliveries")) } (deliveries::table(visit, webhook, &sent)) }
        section.form.wide-form {
            h2 { (visit.say("webhooks.change")) }
            form method="post" action=(path(&webhook.id)) {
                (parts::csrf(visit))
                (form::fields(visit, filled))
                button.primary type="submit" { (visit.say("form.save")) }
            }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Ok(Page::new(Place::Webhooks, name(webhook), body).status(status).answer(visit))
}

fn facts(visit: &Visit, webhook: &Webhook) -> Markup {
    html! {
        dl.pairs {
            dt { (visit.say("webhooks.state")) } dd { (state(visit, webhook)) }
            dt { (visit.say("webhooks.url")) } dd.mono { (webhook.url) }
            dt { (visit.say("webhooks.events")) } dd { (events(visit, webhook)) }
            dt { (visit.say("keys.created")) } dd { (parts::day(webhook.created_unix_ms, "")) }
            @if webhook.failing_since_unix_ms > 0 { dt { (visit.say("webhooks.failing_since")) } dd { (parts::moment(webhook.failing_since_unix_ms, "")) } }
        }
    }
}

fn actions(visit: &Visit, webhook: &Webhook) -> Markup {
    let path = path(&webhook.id);
    let step = |word: &str, text: &'static str| {
        html! { form method="post" action={ (path) "/" (word) } { (parts::csrf(visit)) button type="submit" { (visit.say(text)) } } }
    };
    html! {
        @if webhook.state() == WebhookState::Enabled {
            (step("test", "webhooks.test"))
            (step("disable", "webhooks.disable"))
        } @else {
            (step("enable", "webhooks.enable"))
        }
        a.button href={ (path) "/rotate" } { (visit.say("webhooks.rotate")) }
        a.button.danger href={ (path) "/remove" } { (visit.say("webhooks.remove")) }
    }
}
