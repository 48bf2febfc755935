//! `POST /oauth/token`, `POST /oauth/introspect`, and what is published for those who use them.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use torchmesh_api::access::{Scope, Scopes};
use torchmesh_runtime::server::Peer;
use torchmesh_token::Token;

use super::{
    Oauth,
    form::{Form, Wrong},
};
use crate::{
    body,
    identity::{Identity, auth::now, rights::Rights},
    rejected,
};

/// A form has no more bytes.
const LONGEST: usize = 64 << 10;

/// The routes; none where the gateway gives no tokens.
pub fn routes(identity: Identity) -> Router {
    let Some(oauth) = identity.oauth() else { return Router::new() };
    Router::new()
        .route("/oauth/token", post(token))
        .route("/oauth/introspect", post(introspect))
        .route("/.well-known/oauth-authorization-server", get(|State(door): State<Door>| async move { Json(door.oauth.metadata()) }))
        .route("/.well-known/jwks.json", get(|State(door): State<Door>| async move { Json(door.oauth.signing.load().published.clone()) }))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(Door { oauth, identity })
        .layer(from_fn(rejected::tell_in_form))
        .layer(from_fn(|request, next| body::refuse_too_large(LONGEST, request, next)))
}

#[derive(Clone)]
struct Door {
    oauth: Arc<Oauth>,
    identity: Identity,
}

/// A refusal, as it is answered.
enum Refusal {
    Wrong(Wrong),
    TooMany(u64),
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

fn wrong(error: &'static str, why: &'static str) -> Refusal {
    Wrong { error, why }.into()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Wrong(Wrong { error, why }) => {
                let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
                let mut response = unstored(status, &json!({ "error": error, "error_description": why }));
                if status == StatusCode::UNAUTHORIZED {
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"torchmesh\""));
                }
                response
            }
            Self::TooMany(seconds) => {
                let why = "too many wrong secrets were shown for this client; try again later";
                let mut response = unstored(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": "invalid_client", "error_description": why }));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
        }
    }
}

/// An answer that nobody on the way keeps (RFC 6749, section 5.1).
fn unstored(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(body)).into_response()
}

impl Door {
    /// The client that a form is of, and what it may do.
    fn client(&self, form: &Form, headers: &HeaderMap, from: Option<IpAddr>, now: u64) -> Result<(String, Rights), Refusal> {
        let (name, secret) = form.client(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))?;
        let (attempts, who) = (&self.oauth.attempts, (name.as_str(), from));
        attempts.may_try(who, now).map_err(Refusal::TooMany)?;
        let rights = self.identity.keys().client(&name, secret.as_bytes(), now).cloned();
        let Some(rights) = rights else {
            attempts.failed(who, now);
            return Err(wrong("invalid_client", "the client is not known, or its secret is not valid"));
        };
        Ok((name, rights))
    }
}

fn form(headers: &HeaderMap, body: &[u8]) -> Result<Form, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if !kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
        return Err(wrong("invalid_request", "the content type must be application/x-www-form-urlencoded"));
    }
    Ok(Form::parse(body)?)
}

async fn token(State(door): State<Door>, peer: Option<Extension<Arc<Peer>>>, headers: HeaderMap, body: Bytes) -> Response {
    let given = || {
        let (form, now) = (form(&headers, &body)?, now());
        match form.get("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(wrong("unsupported_grant_type", "only client_credentials is supported")),
            None => return Err(wrong("invalid_request", "grant_type is missing; it is client_credentials")),
        }
        let (client, rights) = door.client(&form, &headers, peer.map(|Extension(peer)| peer.addr.ip()), now)?;
        let scopes = asked(&form, rights.scopes)?;
        let id = format!("{:032x}", fastrand::u128(..));
        let token = door.oauth.token(&client, &rights, scopes, now, &id);
        let lifetime = door.oauth.settings.token_lifetime.as_secs();
        Ok(json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scopes.to_string() }))
    };
    given().map_or_else(Refusal::into_response, |given: Value| unstored(StatusCode::OK, &given))
}

/// The scopes that a token is asked for: all that the client has, where it asks for none.
fn asked(form: &Form, has: Scopes) -> Result<Scopes, Refusal> {
    let Some(scope) = form.get("scope") else { return Ok(has) };
    let asked = Scopes::parse(scope.split_ascii_whitespace()).ok().filter(|asked| has.covers(*asked));
    asked.ok_or_else(|| wrong("invalid_scope", "the client has not been given all of these scopes"))
}

/// What is known of a token (RFC 7662): told to the client that it was given to, and to clients with the scope `admin`.
async fn introspect(State(door): State<Door>, peer: Option<Extension<Arc<Peer>>>, headers: HeaderMap, body: Bytes) -> Response {
    let told = || {
        let (form, now) = (form(&headers, &body)?, now());
        let (client, rights) = door.client(&form, &headers, peer.map(|Extension(peer)| peer.addr.ip()), now)?;
        let token = form.get("token").ok_or_else(|| wrong("invalid_request", "token is missing"))?;
        let known = described(&door, token, now);
        let may = known["client_id"] == client || rights.scopes.has(Scope::Admin);
        Ok(if may { known } else { json!({ "active": false }) })
    };
    told().map_or_else(Refusal::into_response, |told: Value| unstored(StatusCode::OK, &told))
}

fn described(door: &Door, token: &str, now: u64) -> Value {
    let keys = door.identity.keys();
    let read = || Token::parse(token.as_bytes());
    let good = read().and_then(|token| door.oauth.verify(&keys, token, now));
    let (Ok((principal, _)), Ok(claims)) = (good, read().and_then(|token| door.oauth.claims(token, now))) else {
        return json!({ "active": false });
    };
    let claim = |name: &str| claims.all.get(name).cloned().unwrap_or_default();
    json!({
        "active": true,
        "client_id": &*principal.credential,
        "sub": claims.subject,
        "scope": principal.scopes.to_string(),
        "tenant": principal.tenant.as_str(),
        "token_type": "Bearer",
        "iss": claim("iss"),
        "aud": claim("aud"),
        "exp": claim("exp"),
        "iat": claim("iat"),
        "jti": claim("jti"),
    })
}
