//! `/console/privacy`: what is kept of whoever looks and of their tenant, told whole, and what erasing means.

use axum::{
    body::Body,
    extract::RawQuery,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};
use tokio::time::timeout;
use tonic::{Request, Status};
use torchmesh_api::accounts::v1::{ErasePersonRequest, ExportPersonRequest, ExportTenantRequest};

use super::super::{
    Page, Place,
    parts::{self, Field},
    see_other,
};
use crate::{
    fail::{Answer, Fail},
    figures,
    guard::{
        Sent,
        cookies::{self, Kind},
    },
    visit::{Person, Visit},
};

/// What the query of the tenant's document says where single calls are left out.
const WITHOUT_CALLS: &str = "calls=no";
/// What is kept for how long, unless the operators say otherwise.
const KEPT: [(&str, &str); 5] = [
    ("privacy.changes", "privacy.all_kept"),
    ("privacy.calls", "privacy.all_kept"),
    ("privacy.letters", "privacy.a_month"),
    ("privacy.hooks", "privacy.a_month"),
    ("privacy.recipients", "privacy.ten_years"),
];

/// The page.
pub async fn show(visit: Visit, person: Person) -> Answer {
    Ok(page(&visit, &person, "", None))
}

fn page(visit: &Visit, person: &Person, typed: &str, fail: Option<&Fail>) -> Response {
    let body = html! {
        (parts::head(visit.say("privacy.title"), visit.say("privacy.lead"), html! {}))
        (parts::wrong(visit, fail))
        (of_person(visit))
        (of_tenant(visit, person))
        section { h2 { (visit.say("privacy.how_long")) } p.faint { (visit.say("privacy.how_long_lead")) } (kept(visit)) }
        (erasing(visit, person, typed))
    };
    let status = fail.map_or(StatusCode::OK, |fail| fail.status);
    Page::new(Place::Privacy, visit.say("privacy.title"), body).status(status).answer(visit)
}

fn of_person(visit: &Visit) -> Markup {
    html! {
        section.form {
            h2 { (visit.say("privacy.you")) }
            p { (visit.say("privacy.you_more")) }
            p.actions { a.button href="/console/privacy/person.json" download { (visit.say("privacy.you_download")) } }
        }
    }
}

fn of_tenant(visit: &Visit, person: &Person) -> Markup {
    html! {
        section.form {
            h2 { (visit.say("privacy.tenant")) }
            p { (visit.say("privacy.tenant_more")) }
            @if person.may_export() {
                p.actions {
                    a.button href="/console/privacy/tenant.json" download { (visit.say("privacy.tenant_download")) }
                    a.button href={ "/console/privacy/tenant.json?" (WITHOUT_CALLS) } download { (visit.say("privacy.tenant_download_short")) }
                }
            } @else {
                p.faint { (visit.say("privacy.tenant_owners")) }
            }
        }
    }
}

fn kept(visit: &Visit) -> Markup {
    parts::scroll(
        visit.say("privacy.how_long"),
        html! {
            table {
                thead { tr { th scope="col" { (visit.say("privacy.what")) } th scope="col" { (visit.say("privacy.kept")) } } }
                tbody { @for (what, time) in KEPT { tr { th.wrap scope="row" { (visit.say(what)) } td { (visit.say(time)) } } } }
            }
        },
    )
}

fn erasing(visit: &Visit, person: &Person, typed: &str) -> Markup {
    let confirmation = Field { kind: "email", ..Field::text("email", visit.say("privacy.erase_confirm"), typed) };
    html! {
        section.form {
            h2 { (visit.say("privacy.erasing")) }
            p { (visit.say("privacy.erasing_tenant")) }
            p { (visit.say("privacy.erasing_you")) }
            form method="post" action="/console/privacy" {
                (parts::csrf(visit))
                (confirmation.hint(&person.member.email).show())
                button.danger type="submit" { (visit.say("privacy.erase")) }
            }
        }
    }
}

/// Everything that is kept of whoever looks.
pub async fn person_document(visit: Visit, person: Person) -> Answer {
    let mut privacy = visit.app().accounts.privacy(person.token());
    // The first piece has to come in time; the whole may take what it takes.
    let begun = timeout(visit.app().config.timeout, privacy.export_person(Request::new(ExportPersonRequest::default()))).await;
    let pieces = begun.map_err(|_| Fail::away())??.into_inner();
    Ok(document("member", pieces.map_ok(|piece| Bytes::from(piece.json))))
}

/// Everything that is kept of the tenant.
pub async fn tenant_document(visit: Visit, person: Person, RawQuery(query): RawQuery) -> Answer {
    let mut privacy = visit.app().accounts.privacy(person.token());
    let without_usage_events = query.is_some_and(|query| query == WITHOUT_CALLS);
    let asked = Request::new(ExportTenantRequest { without_usage_events, ..Default::default() });
    let begun = timeout(visit.app().config.timeout, privacy.export_tenant(asked)).await;
    let pieces = begun.map_err(|_| Fail::away())??.into_inner();
    Ok(document("tenant", pieces.map_ok(|piece| Bytes::from(piece.json))))
}

/// A download of pieces as they come. One that ends with an error is broken off, so that nobody takes it for whole.
fn document(of: &str, pieces: impl Stream<Item = Result<Bytes, Status>> + Send + 'static) -> Response {
    let name = format!("attachment; filename=\"{of}-{}.json\"", figures::day(figures::now_ms()));
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], Body::from_stream(pieces)).into_response()
}

/// Erases whoever asks, who has typed their own address.
pub async fn erase(visit: Visit, person: Person, sent: Sent) -> Answer {
    let typed = sent.text("email");
    if !typed.eq_ignore_ascii_case(&person.member.email) {
        let fail = Fail::new(StatusCode::BAD_REQUEST).saying(visit.say("privacy.erase_wrong"));
        return Ok(page(&visit, &person, typed, Some(&fail)));
    }
    // The session ends with them, and what it made could not be revoked any more.
    visit.app().keys.forget(&visit, &person).await;
    let accounts = &visit.app().accounts;
    let asked = ErasePersonRequest { member: person.member.id.clone() };
    match accounts.privacy(person.token()).erase_person(accounts.ask(asked)).await.map_err(Fail::from) {
        Ok(_) => {
            let mut response = see_other("/sign-in?told=erased");
            response.headers_mut().append(header::SET_COOKIE, cookies::remove(Kind::Session, visit.app().config.is_secure()));
            Ok(response)
        }
        Err(fail) if fail.is_about_the_form() => Ok(page(&visit, &person, typed, Some(&fail))),
        Err(fail) => Err(fail),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn a_document_that_ends_with_an_error_is_broken_off() {
        let read = |pieces: Vec<Result<Bytes, Status>>| axum::body::to_bytes(document("tenant", stream::iter(pieces)).into_body(), 100);
        assert_eq!(read(vec![Ok(Bytes::from("{")), Ok(Bytes::from("}"))]).await.unwrap(), "{}");
        assert!(read(vec![Ok(Bytes::from("{")), Err(Status::unavailable("gone"))]).await.is_err());
    }
}
