//! The layer that lets a call in, or refuses it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, Method, Request, header, request::Parts};
use torchmesh_api::{
    access::key::{Spelling, spelling},
    error::{ApiError, ErrorKind},
    headers::{X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MIRRORED, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_TENANT},
};
use torchmesh_layers::call::CallContext;
use tower::Service;

use super::{
    keyring::Keyring,
    keys::Found,
    needs::{Need, need},
    principal::Principal,
};

/// What only the mesh may say: a client cannot say it for it.
const OURS: [header::HeaderName; 5] =
    [X_TORCHMESH_TENANT, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MIRRORED];

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn unknown(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, message)
}

impl Keyring {
    /// Checks the call's credential, and replaces it by the tenant: the credential goes no further. `None` is a path that anybody may ask.
    fn admit(&self, method: &Method, path: &str, headers: &mut HeaderMap) -> Result<Option<Arc<Principal>>, ApiError> {
        for name in OURS {
            headers.remove(name);
        }
        let Need::Scope(scope) = need(method, path) else {
            return Ok(None);
        };
        let sent = headers.remove(header::AUTHORIZATION);
        let sent = sent.ok_or_else(|| unknown("no API key was sent; send it as `authorization: Bearer YOUR_KEY`"))?;
        let token = bearer(sent.as_bytes()).ok_or_else(|| unknown("the authorization header has another form than `Bearer YOUR_KEY`"))?;
        let principal = self.by_key(token, now())?;
        if !principal.scopes.has(scope) {
            return Err(lacking(&principal, scope));
        }
        headers.insert(X_TORCHMESH_TENANT, principal.tenant_header.clone());
        Ok(Some(principal))
    }

    fn by_key(&self, key: &[u8], now: u64) -> Result<Arc<Principal>, ApiError> {
        match self.now().find(key, now) {
            Found::Good(principal) => Ok(Arc::clone(principal)),
            Found::Expired => Err(unknown("the API key has expired; ask for a new one")),
            Found::Unknown if spelling(key) == Spelling::Wrong => Err(unknown("the API key has a typo; copy it again, whole")),
            Found::Unknown => Err(unknown("the API key is not valid; check that it was copied whole and that it was not revoked")),
        }
    }
}

fn lacking(principal: &Principal, scope: torchmesh_api::access::Scope) -> ApiError {
    let has = if principal.scopes.is_empty() { "none".to_owned() } else { principal.scopes.to_string() };
    let message = format!("this call needs the scope {scope}, and the credential has {has}; whoever gave it can add the scope");
    ApiError::new(ErrorKind::PermissionDenied, message)
}

/// The token of a `Bearer` authorization (RFC 6750, section 2.1); the scheme's case does not matter.
pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Says in the call who is calling.
fn introduce(parts: &mut Parts, principal: Option<Arc<Principal>>) {
    if let Some(principal) = principal {
        // For the calls that the gateway makes itself on behalf of this one.
        if let Some(call) = parts.extensions.get_mut::<CallContext>() {
            call.tenant = Some(principal.tenant_header.clone());
        }
        parts.extensions.insert(principal);
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Auth<S> {
    inner: S,
    keyring: Keyring,
}

impl<S> Auth<S> {
    /// Wraps a service.
    pub fn new(inner: S, keyring: Keyring) -> Self {
        Self { inner, keyring }
    }
}

impl<S, R> Service<Request<R>> for Auth<S>
where
    S: Service<Request<R>, Error = ApiError>,
{
    type Response = S::Response;
    type Error = ApiError;
    type Future = Admission<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.keyring.admit(&parts.method, parts.uri.path(), &mut parts.headers) {
            Ok(principal) => {
                introduce(&mut parts, principal);
                Admission::Admitted { inner: self.inner.call(Request::from_parts(parts, body)) }
            }
            Err(error) => Admission::Refused { error: Some(error) },
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Admission<F> {
        Admitted {
            #[pin]
            inner: F,
        },
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, T> Future for Admission<F>
where
    F: Future<Output = Result<T, ApiError>>,
{
    type Output = Result<T, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Admitted { inner } => inner.poll(cx),
            Step::Refused { error } => {
                let gone = || ApiError::new(ErrorKind::Unauthenticated, "the API key is not valid");
                Poll::Ready(Err(error.take().unwrap_or_else(gone)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use sha2::{Digest as _, Sha256};

    use super::{super::keys::Keys, *};

    const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

    fn ring() -> Keyring {
        let hash = Sha256::digest("tm_good").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Keyring::of(Keys::parse(&format!("[[key]]\nname = 'n'\ntenant = 'acme'\nsha256 = '{hash}'")).unwrap())
    }

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
    }

    fn admit(path: &str, headers: &mut HeaderMap) -> Result<Option<Arc<Principal>>, ApiError> {
        ring().admit(&Method::POST, path, headers)
    }

    #[test]
    fn a_good_key_becomes_its_tenant_and_goes_no_further() {
        for form in ["Bearer tm_good", "bearer tm_good", "Bearer  tm_good "] {
            let mut headers = headers(form);
            let principal = admit(PATH, &mut headers).unwrap().unwrap();
            assert_eq!((headers[X_TORCHMESH_TENANT].as_bytes(), &*principal.credential), (&b"acme"[..], "n"));
            assert!(!headers.contains_key(header::AUTHORIZATION));
        }
    }

    #[test]
    fn everything_else_is_refused_and_the_refusal_does_not_repeat_the_key() {
        for form in ["", "Bearer", "Bearer ", "Bearer tm_bad", "Basic tm_good", "tm_good"] {
            let error = admit(PATH, &mut headers(form)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated);
            assert!(!error.message.contains("tm_"), "{}", error.message);
        }
        assert!(admit(PATH, &mut HeaderMap::new()).is_err());
    }

    #[test]
    fn a_typo_is_told_from_a_key_that_is_not_valid() {
        let right = torchmesh_api::access::key::draw(Some("dev"), &mut || Ok(9)).unwrap().key;
        let typo = right.replace("_9", "_8");
        let message = |key: &str| admit(PATH, &mut headers(&format!("Bearer {key}"))).unwrap_err().message;
        assert!(message(&right).contains("not valid") && message(&typo).contains("typo"), "{}", message(&typo));
    }

    #[test]
    fn a_scope_that_is_missing_is_named() {
        let error = admit("/v2/repository/models/m/load", &mut headers("Bearer tm_good")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        assert!(error.message.contains("models:write") && error.message.contains("infer models:read"), "{error}");
    }

    #[test]
    fn a_client_cannot_name_its_own_tenant() {
        let mut headers = headers("Bearer tm_good");
        headers.insert(X_TORCHMESH_TENANT, HeaderValue::from_static("other"));
        headers.insert(X_TORCHMESH_MODEL, HeaderValue::from_static("secret-model"));
        admit(PATH, &mut headers).unwrap();
        assert_eq!(headers[X_TORCHMESH_TENANT], "acme");
        assert!(!headers.contains_key(X_TORCHMESH_MODEL));
    }

    #[test]
    fn health_needs_no_key() {
        assert_eq!(admit("/v2/health/live", &mut HeaderMap::new()).unwrap(), None);
    }
}
