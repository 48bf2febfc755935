//! The secret that messages are signed with: shown once, and made anew.

use axum::{extract::Path, response::Response};
use maud::html;
use torchmesh_api::accounts::v1::{RotateWebhookSecretRequest, Webhook};

use super::{
    super::keys_change::{overlap, overlap_ms},
    find, name, parts, path,
};
use crate::{
    fail::Answer,
    guard::Sent,
    pages::{Page, Place},
    visit::{Person, Visit},
};

/// The one page that shows a secret.
pub(super) fn page(visit: &Visit, webhook: &Webhook, secret: &str) -> Response {
    let title = visit.texts().fill("webhooks.made", &[("name", name(webhook))]);
    let body = html! {
        p.crumb { a href="/console/webhooks" { (visit.say("webhooks.title")) } }
        section.form {
            h1 { (title) }
            div.notice.warn { p { (visit.say("webhooks.once")) } }
            (parts::code(visit, secret))
            p { (visit.say("webhooks.verify")) }
            p.actions { a.button.primary href=(path(&webhook.id)) { (visit.say("keys.kept")) } }
        }
    };
    Page::new(Place::Webhooks, title, body).answer(visit)
}

/// The form that rotates.
pub async fn rotation(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let webhook = find(&visit, &person, &id).await?;
    let title = visit.texts().fill("webhooks.rotate_title", &[("name", name(&webhook))]);
    let body = html! {
        p.crumb { a href=(path(&id)) { (name(&webhook)) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("webhooks.rotate_lead")) }
            form method="post" action={ (path(&id)) "/rotate" } {
                (parts::csrf(&visit))
                (overlap(&visit))
                div.actions { button.primary type="submit" { (visit.say("webhooks.rotate")) } a.button href=(path(&id)) { (visit.say("form.cancel")) } }
            }
        }
    };
    Ok(Page::new(Place::Webhooks, title, body).answer(&visit))
}

/// Rotates.
pub async fn rotate(visit: Visit, person: Person, Path(id): Path<String>, sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let asked = RotateWebhookSecretRequest { id, overlap_ms: overlap_ms(&sent)? };
    let made = accounts.webhooks(person.token()).rotate_webhook_secret(accounts.ask(asked)).await?.into_inner();
    Ok(page(&visit, &made.webhook.unwrap_or_default(), &made.secret))
}
