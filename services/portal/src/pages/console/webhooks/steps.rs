//! What is done with one by a button: tried, enabled, disabled, sent again, removed.

use axum::{extract::Path, response::Response};
use maud::html;
use torchmesh_api::accounts::v1::{DeleteWebhookRequest, RedeliverWebhookRequest, TestWebhookRequest, UpdateWebhookRequest};

use super::{find, form::Filled, name, one, parts, path};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    pages::{Page, Place, see_other},
    visit::{Person, Visit},
};

/// Takes a step.
pub async fn step(visit: Visit, person: Person, Path((id, step)): Path<(String, String)>, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    let mut webhooks = accounts.webhooks(person.token());
    let turned = |enabled| accounts.ask(UpdateWebhookRequest { id: id.clone(), enabled: Some(enabled), ..Default::default() });
    let told = match step.as_str() {
        "test" => webhooks.test_webhook(accounts.ask(TestWebhookRequest { id: id.clone() })).await.map(|_| "tested"),
        "enable" => webhooks.update_webhook(turned(true)).await.map(|_| "enabled"),
        "disable" => webhooks.update_webhook(turned(false)).await.map(|_| "disabled"),
        "redeliver" => {
            let asked = RedeliverWebhookRequest { webhook_id: id.clone(), ..Default::default() };
            webhooks.redeliver_webhook(accounts.ask(asked)).await.map(|_| "redelivered")
        }
        _ => return Err(Fail::absent()),
    };
    match told.map_err(Fail::from) {
        Ok(word) => Ok(see_other(&format!("{}?told={word}", path(&id)))),
        Err(fail) if fail.is_about_the_form() => {
            let webhook = find(&visit, &person, &id).await?;
            one::page(&visit, &person, &webhook, &Filled::kept(&webhook), Some(&fail)).await
        }
        Err(fail) => Err(fail),
    }
}

/// Where the page with a refused step is opened again.
pub async fn begin_again(Path((id, _)): Path<(String, String)>) -> Response {
    see_other(&path(&id))
}

/// The question before it is removed.
pub async fn removal(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let webhook = find(&visit, &person, &id).await?;
    let title = visit.texts().fill("webhooks.remove_title", &[("name", name(&webhook))]);
    let body = html! {
        p.crumb { a href=(path(&id)) { (name(&webhook)) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("webhooks.remove_lead")) }
            form method="post" action={ (path(&id)) "/remove" } {
                (parts::csrf(&visit))
                div.actions { button.danger type="submit" { (visit.say("webhooks.remove")) } a.button href=(path(&id)) { (visit.say("form.cancel")) } }
            }
        }
    };
    Ok(Page::new(Place::Webhooks, title, body).answer(&visit))
}

/// Removes it.
pub async fn remove(visit: Visit, person: Person, Path(id): Path<String>, _sent: Sent) -> Answer {
    let accounts = &visit.app().accounts;
    accounts.webhooks(person.token()).delete_webhook(accounts.ask(DeleteWebhookRequest { id })).await?;
    Ok(see_other("/console/webhooks?told=unhooked"))
}
