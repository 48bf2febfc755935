//! `/console/keys`: the list, and making one.

use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{CreateCredentialRequest, Credential, CredentialKind, Models};

use super::super::{
    Page, Place, encoded,
    parts::{self, Field},
};
use crate::{
    fail::{Answer, Fail},
    figures,
    guard::Sent,
    playground::NAMED,
    visit::{Person, Visit},
};

/// The list.
pub async fn list(visit: Visit, person: Person) -> Answer {
    let all = visit.app().accounts.credentials(person.accounts(&visit), "").await?;
    let now = figures::now_ms();
    let (good, gone): (Vec<_>, Vec<_>) = all.iter().filter(|key| is_shown(key, now)).partition(|key| is_good(key, now));
    let make = html! { @if person.may_change_keys() { a.button.primary href="/console/keys/new" { (visit.say("keys.new")) } } };
    let body = html! {
        (parts::told(&visit))
        (parts::head(visit.say("keys.title"), visit.say("keys.lead"), make.clone()))
        @if good.is_empty() { (parts::empty(visit.say("keys.none"), html! {})) } @else { (table(&visit, &person, &good, now)) }
        @if !gone.is_empty() {
            details.gone { summary { (visit.texts().fill("keys.gone", &[("count", &gone.len().to_string())])) } (table(&visit, &person, &gone, now)) }
        }
    };
    Ok(Page::new(Place::Keys, visit.say("keys.title"), body).answer(&visit))
}

fn is_good(key: &Credential, now: i64) -> bool {
    key.revoked_unix_ms == 0 && (key.expires_unix_ms == 0 || key.expires_unix_ms > now)
}

/// Those of the playground come and go by themselves: only while they are good.
fn is_shown(key: &Credential, now: i64) -> bool {
    !key.name.starts_with(NAMED) || is_good(key, now)
}

fn table(visit: &Visit, person: &Person, keys: &[&Credential], now: i64) -> Markup {
    let heads = ["keys.name", "keys.begins", "keys.models", "keys.created", "keys.ends", "keys.used"];
    parts::scroll(
        visit.say("keys.title"),
        html! {
            table {
                thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } th scope="col" { span.visually-hidden { (visit.say("keys.actions")) } } } }
                tbody { @for key in keys { (row(visit, key, person.may_change_keys() && is_good(key, now))) } }
            }
        },
    )
}

fn row(visit: &Visit, key: &Credential, can_change: bool) -> Markup {
    let never = visit.say("keys.never");
    let id = encoded(&key.id);
    html! {
        tr {
            th scope="row" { (key.name) @if key.kind() == CredentialKind::OauthClient { " " (parts::badge("plain", "OAuth")) } }
            td.mono { (key.hint) "…" }
            td.mono { (models(visit, key)) }
            td { (parts::day(key.created_unix_ms, never)) }
            td { @if key.revoked_unix_ms > 0 { (parts::badge("bad", visit.say("keys.revoked"))) } @else { (parts::day(key.expires_unix_ms, never)) } }
            td { (parts::moment(key.last_used_unix_ms, never)) }
            td.row-actions {
                @if can_change {
                    // One of the playground's is replaced when it ends, and nobody has its secret.
                    @if !key.name.starts_with(NAMED) { a href={ "/console/keys/" (id) "/rotate" } { (visit.say("keys.rotate")) span.visually-hidden { " " (key.name) } } }
                    a.danger href={ "/console/keys/" (id) "/revoke" } { (visit.say("keys.revoke")) span.visually-hidden { " " (key.name) } }
                }
            }
        }
    }
}

fn models(visit: &Visit, key: &Credential) -> String {
    key.models.as_ref().map_or_else(|| visit.say("keys.every_model").to_owned(), |models| models.patterns.join(", "))
}

/// The form of a new one.
pub async fn begin(visit: Visit, person: Person) -> Answer {
    if !person.may_change_keys() {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    Ok(form(&visit, &Sent::default(), None))
}

fn form(visit: &Visit, sent: &Sent, fail: Option<&Fail>) -> Response {
    let body = html! {
        p.crumb { a href="/console/keys" { (visit.say("keys.title")) } }
        section.form {
            h1 { (visit.say("keys.new")) }
            p.lead { (visit.say("keys.new_lead")) }
            (parts::wrong(visit, fail))
            form method="post" action="/console/keys" {
                (parts::csrf(visit))
                (Field::text("name", visit.say("keys.name"), sent.text("name")).hint(visit.say("keys.name_hint")).show())
                (Field::text("models", visit.say("keys.models"), sent.text("models")).hint(visit.say("keys.models_hint")).optional().show())
                (Field { kind: "date", ..Field::text("ends", visit.say("keys.ends"), sent.text("ends")) }.hint(visit.say("keys.ends_hint")).optional().show())
                div.actions { button.primary type="submit" { (visit.say("keys.make")) } a.button href="/console/keys" { (visit.say("form.cancel")) } }
            }
        }
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Keys, visit.say("keys.new"), body).status(status).answer(visit)
}

/// Makes one. Its secret is on the page that answers, and nowhere else.
pub async fn make(visit: Visit, person: Person, sent: Sent) -> Answer {
    let ends = sent.text("ends");
    let Some(expires_unix_ms) = (if ends.is_empty() { Some(0) } else { figures::end_of_day(ends) }) else {
        let fail = Fail::new(StatusCode::BAD_REQUEST).saying(visit.say("keys.ends_wrong"));
        return Ok(form(&visit, &sent, Some(&fail)));
    };
    let patterns = sent.words("models");
    let asked = CreateCredentialRequest {
        kind: CredentialKind::ApiKey.into(),
        name: sent.text("name").to_owned(),
        models: (!patterns.is_empty()).then_some(Models { patterns }),
        expires_unix_ms,
        ..Default::default()
    };
    match person.accounts(&visit).create_credential(visit.app().accounts.ask(asked)).await {
        Ok(made) => Ok(secret(&visit, sent.text("name"), &made.into_inner().secret)),
        Err(status) => {
            let fail = Fail::from(status);
            if fail.is_about_the_form() { Ok(form(&visit, &sent, Some(&fail))) } else { Err(fail) }
        }
    }
}

/// The one page that shows a secret.
pub(super) fn secret(visit: &Visit, name: &str, secret: &str) -> Response {
    let body = html! {
        p.crumb { a href="/console/keys" { (visit.say("keys.title")) } }
        section.form {
            h1 { (visit.texts().fill("keys.made", &[("name", name)])) }
            div.notice.warn { p { (visit.say("keys.once")) } }
            (parts::code(visit, secret))
            h2 { (visit.say("keys.use")) }
            (parts::code(visit, &format!("curl -s {}/v1/models -H \"Authorization: Bearer {secret}\"", visit.app().config.gateway.public_address)))
            p.actions { a.button.primary href="/console/keys" { (visit.say("keys.kept")) } a.button href="/docs" { (visit.say("nav.docs")) } }
        }
    };
    Page::new(Place::Keys, visit.texts().fill("keys.made", &[("name", name)]), body).answer(visit)
}
