//! `/console/keys/{id}/rotate` and `/revoke`: asked before it is done.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Credential, RevokeCredentialRequest, RotateCredentialRequest};

use super::{
    super::{Page, Place, encoded, parts, see_other},
    keys::secret,
};
use crate::{
    fail::{Answer, Fail},
    guard::Sent,
    visit::{Person, Visit},
};

const HOUR_MS: i64 = 3_600_000;

/// One that is the member's own tenant's and not revoked; whatever else there may be does not exist.
async fn find(visit: &Visit, person: &Person, id: &str) -> Answer<Credential> {
    let all = visit.app().accounts.credentials(person.accounts(visit), "").await?;
    all.into_iter().find(|key| key.id == id && key.revoked_unix_ms == 0).ok_or_else(Fail::absent)
}

/// The form that rotates.
pub async fn rotation(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let key = find(&visit, &person, &id).await?;
    Ok(rotation_form(&visit, &key))
}

fn rotation_form(visit: &Visit, key: &Credential) -> Response {
    let title = visit.texts().fill("keys.rotate_title", &[("name", &key.name)]);
    let body = html! {
        p.crumb { a href="/console/keys" { (visit.say("keys.title")) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("keys.rotate_lead")) }
            form method="post" action={ "/console/keys/" (encoded(&key.id)) "/rotate" } {
                (parts::csrf(visit))
                (overlap(visit))
                div.actions { button.primary type="submit" { (visit.say("keys.rotate")) } a.button href="/console/keys" { (visit.say("form.cancel")) } }
            }
        }
    };
    Page::new(Place::Keys, title, body).answer(visit)
}

/// How long the old secret stays good, to choose.
pub(super) fn overlap(visit: &Visit) -> Markup {
    let choices = [("0", "keys.overlap_none"), ("1", "keys.overlap_hour"), ("24", "keys.overlap_day"), ("168", "keys.overlap_week")];
    parts::select("hours", visit.say("keys.overlap"), &choices.map(|(hours, text)| (hours, visit.say(text))), "24")
}

/// What was chosen. Anything else is refused: the old secret must not end by mistake.
pub(super) fn overlap_ms(sent: &Sent) -> Answer<i64> {
    let hours = sent.text("hours").parse::<i64>().ok().filter(|hours| (0..=24 * 90).contains(hours));
    hours.map(|hours| hours * HOUR_MS).ok_or_else(|| Fail::new(StatusCode::BAD_REQUEST))
}

/// Rotates.
pub async fn rotate(visit: Visit, person: Person, Path(id): Path<String>, sent: Sent) -> Answer {
    let asked = visit.app().accounts.ask(RotateCredentialRequest { id, overlap_ms: overlap_ms(&sent)? });
    let made = person.accounts(&visit).rotate_credential(asked).await?.into_inner();
    Ok(secret(&visit, &made.credential.unwrap_or_default().name, &made.secret))
}

/// The question before it is revoked.
pub async fn revocation(visit: Visit, person: Person, Path(id): Path<String>) -> Answer {
    let key = find(&visit, &person, &id).await?;
    let title = visit.texts().fill("keys.revoke_title", &[("name", &key.name)]);
    let body = html! {
        p.crumb { a href="/console/keys" { (visit.say("keys.title")) } }
        section.form {
            h1 { (title) }
            p.lead { (visit.say("keys.revoke_lead")) }
            form method="post" action={ "/console/keys/" (encoded(&key.id)) "/revoke" } {
                (parts::csrf(&visit))
                div.actions { button.danger type="submit" { (visit.say("keys.revoke")) } a.button href="/console/keys" { (visit.say("form.cancel")) } }
            }
        }
    };
    Ok(Page::new(Place::Keys, title, body).answer(&visit))
}

/// Revokes.
pub async fn revoke(visit: Visit, person: Person, Path(id): Path<String>, _sent: Sent) -> Answer {
    person.accounts(&visit).revoke_credential(visit.app().accounts.ask(RevokeCredentialRequest { id })).await?;
    Ok(see_other("/console/keys?told=revoked"))
}
