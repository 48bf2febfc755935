//! One call: the browser's body to the gateway, and the gateway's answer back as it comes.

use std::time::Duration;

use axum::{body::Body, extract::Path, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Method;
use tokio::time::{Instant, sleep};

use crate::{
    fail::{Answer, Fail},
    guard::body,
    upstream::unreachable,
    visit::{Person, Visit},
};

/// The longest body: a photograph.
const LONGEST: usize = 8 << 20;
/// What may be sent on.
const KINDS: [&str; 5] = ["application/json", "text/plain", "image/jpeg", "image/png", "image/webp"];
/// How long gateways may take to hear of a key, and how often it is tried.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// `POST /playground/send/chat`.
pub async fn chat(visit: Visit, person: Person, headers: HeaderMap, body: Body) -> Answer {
    pass_on(&visit, &person, &["v1", "chat", "completions"], &headers, body).await
}

/// `POST /playground/send/embed`.
pub async fn embed(visit: Visit, person: Person, headers: HeaderMap, body: Body) -> Answer {
    pass_on(&visit, &person, &["v1", "embeddings"], &headers, body).await
}

/// `POST /playground/send/task/{model}`.
pub async fn task(visit: Visit, person: Person, Path(model): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    pass_on(&visit, &person, &["v1", "tasks", &model], &headers, body).await
}

async fn pass_on(visit: &Visit, person: &Person, path: &[&str], headers: &HeaderMap, body: Body) -> Answer {
    let (app, kind) = (visit.app(), kind(headers).ok_or_else(|| Fail::new(StatusCode::UNSUPPORTED_MEDIA_TYPE))?);
    let body = body::whole(body, LONGEST, app.config.timeout).await?;
    let key = app.keys.of(visit, person).await?;
    let until = Instant::now() + HEARD_WITHIN;
    loop {
        let request = app.gateway.request(Method::POST, path, &key).header(header::CONTENT_TYPE, kind);
        let request = request.timeout(app.config.playground.timeout).body(body.clone());
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return back(answer);
        }
        if Instant::now() >= until {
            // Revoked meanwhile, or the gateways do not follow the accounts.
            app.keys.give_up(visit, person, &key).await;
            return Err(Fail::away());
        }
        sleep(TRIED_AGAIN_AFTER).await;
    }
}

fn kind(headers: &HeaderMap) -> Option<&'static str> {
    let told = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let told = told.split(';').next().unwrap_or_default().trim();
    KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(told))
}

/// The status, what kind of text it is, and the bytes as they come; when the browser leaves, so do we.
fn back(answer: reqwest::Response) -> Answer {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = if kind.starts_with("text/event-stream") { "text/event-stream" } else { "application/json" };
    let mut response = Response::builder().status(answer.status()).header(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(wait) = answer.headers().get(header::RETRY_AFTER) {
        response = response.header(header::RETRY_AFTER, wait);
    }
    response.body(Body::from_stream(answer.bytes_stream())).map_err(|_| Fail::away())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_playground_sends_is_passed_on() {
        let of = |told: &str| kind(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(told).unwrap())]));
        assert_eq!(of("application/json; charset=utf-8"), Some("application/json"));
        assert_eq!(of("Image/PNG"), Some("image/png"));
        assert_eq!(of("text/html"), None);
        assert_eq!(kind(&HeaderMap::new()), None);
    }
}
