//! What is found out of a request, and what an answer takes along.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Person, Standing, Theme, Visit};
use crate::{
    app::{App, Shared},
    fail::{Answer, Fail},
    guard::{
        Sent, address, body,
        cookies::{self, Kind},
        csrf,
    },
    pages,
    text::{Language, negotiate},
};

/// The longest form.
const LONGEST_FORM: usize = 256 << 10;
/// A session's token that is longer is none.
const LONGEST_TOKEN: usize = 512;

/// Finds out who looks; refuses what is not theirs to send; makes pages of what went wrong.
pub async fn establish(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let secure = app.config.is_secure();
    let session = cookies::shown(request.headers(), Kind::Session, secure).filter(|token| token.len() <= LONGEST_TOKEN);
    let standing = match &session {
        Some(token) => standing(&app, token).await,
        None => Standing::Nobody,
    };
    let has_ended = session.is_some() && matches!(standing, Standing::Nobody);
    let shown = cookies::shown(request.headers(), Kind::Visitor, secure);
    // A session that has ended binds nothing any more.
    let (secret, is_new) = match (session.filter(|_| !has_ended), shown) {
        (Some(token), _) => (token, false),
        (None, Some(visitor)) => (visitor, false),
        (None, None) => (csrf::draw().unwrap_or_default(), true),
    };
    let visit = describe(&app, &request, standing, secret);
    let mut response = answer(&visit, request, next).await;
    if is_new && !visit.secret.is_empty() {
        response.headers_mut().append(header::SET_COOKIE, cookies::set(Kind::Visitor, &visit.secret, secure));
    }
    if has_ended && !sets(response.headers(), Kind::Session) {
        response.headers_mut().append(header::SET_COOKIE, cookies::remove(Kind::Session, secure));
    }
    response
}

/// Whether an answer sets a cookie of this kind already.
fn sets(headers: &HeaderMap, kind: Kind) -> bool {
    let mut set = headers.get_all(header::SET_COOKIE).iter();
    set.any(|value| value.to_str().is_ok_and(|value| cookies::is(value, kind)))
}

async fn standing(app: &App, token: &str) -> Standing {
    match app.accounts.whose(token).await {
        Ok(Some(told)) => {
            let (Some(member), Some(tenant)) = (told.member, told.tenant) else { return Standing::Unknown };
            // Whoever can sign in has shown that the address is theirs.
            let is_operator = app.accounts.has_operator() && app.config.operators.contains(&member.email);
            Standing::Member(Box::new(Person::new(token.to_owned(), member, tenant, is_operator)))
        }
        Ok(None) => Standing::Nobody,
        Err(_) => Standing::Unknown,
    }
}

fn describe(app: &Shared, request: &Request, standing: Standing, secret: String) -> Visit {
    let (headers, secure) = (request.headers(), app.config.is_secure());
    let preferred = cookies::shown(headers, Kind::Language, secure).and_then(|tag| Language::parse(&tag));
    let accepted = || headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Visit {
        app: Arc::clone(app),
        language: preferred.unwrap_or_else(|| negotiate(accepted())),
        theme: Theme::parse(&cookies::shown(headers, Kind::Theme, secure).unwrap_or_default()),
        standing,
        path: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        address: address::of(request.extensions(), headers, app.config.limits.trusted_proxies),
        secret,
    }
}

async fn answer(visit: &Visit, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(visit.clone());
    let method = request.method().clone();
    let response = match checked(visit, request).await {
        Ok(request) => next.run(request).await,
        Err(fail) => fail.into_response(),
    };
    match response.extensions().get::<Fail>() {
        Some(fail) => pages::error(visit, fail, &method, response.headers()),
        None => response,
    }
}

/// Lets nothing pass that changes something and has not the token of whoever sends it.
async fn checked(visit: &Visit, request: Request) -> Answer<Request> {
    if !csrf::is_needed(request.method()) {
        return Ok(request);
    }
    if csrf::is_from_elsewhere(request.headers()) {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    if let Some(shown) = request.headers().get(csrf::HEADER).and_then(|value| value.to_str().ok()) {
        // A script of ours, which sends no form.
        return if csrf::fits(&visit.secret, shown) { Ok(request) } else { Err(Fail::new(StatusCode::FORBIDDEN)) };
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    if request.headers().get(header::CONTENT_TYPE).is_none_or(|kind| !kind.as_bytes().starts_with(form.as_bytes())) {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    let (mut parts, form) = request.into_parts();
    let sent = Sent::read(&body::whole(form, LONGEST_FORM, visit.app().config.timeout).await?);
    if !csrf::fits(&visit.secret, sent.exact(csrf::FIELD)) {
        return Err(Fail::new(StatusCode::FORBIDDEN));
    }
    parts.extensions.insert(sent);
    Ok(Request::from_parts(parts, Body::empty()))
}
