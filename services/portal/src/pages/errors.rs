//! What is shown instead of a page.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use maud::html;

use super::{Page, Place, encoded, see_other};
use crate::{fail::Fail, visit::Visit};

/// What answers a script.
const SENT_BY_SCRIPTS: &str = "/playground/send/";

/// The page of a fail, in the language of whoever looks. Who has to sign in for a page is sent there.
pub fn error(visit: &Visit, fail: &Fail, method: &Method, headers: &HeaderMap) -> Response {
    if visit.path.starts_with(SENT_BY_SCRIPTS) {
        return for_a_script(visit, fail);
    }
    if fail.status == StatusCode::UNAUTHORIZED && method == Method::GET {
        return see_other(&format!("/sign-in?next={}", encoded(&visit.path)));
    }
    let (title, text) = words(visit, fail.status);
    let body = html! {
        div.error {
            p.status aria-hidden="true" { (fail.status.as_u16()) }
            h1 { (title) }
            p.lead { (text) }
            @if let Some(detail) = &fail.detail { p.detail { (detail) } }
            p.actions {
                @if fail.status == StatusCode::UNAUTHORIZED { a.button.primary href="/sign-in" { (visit.say("nav.sign_in")) } }
                a.button href="/" { (visit.say("error.home")) }
            }
        }
    };
    let mut response = Page::new(Place::Elsewhere, title, body).status(fail.status).answer(visit);
    if let Some(wait) = headers.get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    response
}

fn words(visit: &Visit, status: StatusCode) -> (&str, &str) {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            (visit.say("error.bad"), visit.say("error.bad_more"))
        }
        StatusCode::UNAUTHORIZED => (visit.say("error.unknown"), visit.say("error.unknown_more")),
        StatusCode::FORBIDDEN => (visit.say("error.denied"), visit.say("error.denied_more")),
        StatusCode::NOT_FOUND => (visit.say("error.absent"), visit.say("error.absent_more")),
        StatusCode::METHOD_NOT_ALLOWED => (visit.say("error.method"), visit.say("error.method_more")),
        StatusCode::REQUEST_TIMEOUT => (visit.say("error.slow"), visit.say("error.slow_more")),
        StatusCode::PAYLOAD_TOO_LARGE => (visit.say("error.large"), visit.say("error.large_more")),
        StatusCode::TOO_MANY_REQUESTS => (visit.say("error.often"), visit.say("error.often_more")),
        _ => (visit.say("error.away"), visit.say("error.away_more")),
    }
}

fn for_a_script(visit: &Visit, fail: &Fail) -> Response {
    let (title, text) = words(visit, fail.status);
    let message = fail.detail.clone().unwrap_or_else(|| format!("{title} {text}"));
    let body = serde_json::json!({ "error": { "message": message } }).to_string();
    (fail.status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// There are too many at once for a page.
pub fn busy() -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, kind), (header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "The portal is busy; try again in a second.\n门户繁忙，请稍后重试。\n").into_response()
}
