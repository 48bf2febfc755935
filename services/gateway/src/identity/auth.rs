//! The layer that lets a call in, or refuses it.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderValue, Request, header, request::Parts};
use torchmesh_api::{
    access::Scope,
    error::{ApiError, ErrorKind},
    headers::{
        X_TORCHMESH_ASKED_FOR, X_TORCHMESH_CACHE_TTL, X_TORCHMESH_MIRRORED, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION,
        X_TORCHMESH_PRIORITY_LIMIT, X_TORCHMESH_TENANT,
    },
};
use torchmesh_layers::call::CallContext;
use tower::Service;

use super::{
    issuer::Issuer,
    known::{Doubt, Identity},
    needs::{Need, looks_itself, need, waits},
    principal::Principal,
    shown::Shown,
};

/// What only the mesh may say: a client cannot say it for it.
const OURS: [header::HeaderName; 7] = [
    X_TORCHMESH_TENANT,
    X_TORCHMESH_MODEL,
    X_TORCHMESH_MODEL_VERSION,
    X_TORCHMESH_ASKED_FOR,
    X_TORCHMESH_MIRRORED,
    X_TORCHMESH_CACHE_TTL,
    X_TORCHMESH_PRIORITY_LIMIT,
];

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn unknown(message: &str) -> ApiError {
    ApiError::new(ErrorKind::Unauthenticated, message)
}

/// What is known of a call before it goes in.
enum Outcome {
    /// It goes in; nobody is known on a path that anybody may ask.
    Admitted(Option<Arc<Principal>>),
    /// It can be told when the issuer's keys have been read again.
    Later(Arc<Issuer>, ApiError),
}

impl Identity {
    /// Checks the call's credential, and replaces it by the tenant: the credential goes no further.
    fn admit(&self, parts: &mut Parts, now: u64) -> Result<Outcome, ApiError> {
        for name in OURS {
            parts.headers.remove(name);
        }
        let Need::Scope(scope) = need(&parts.method, parts.uri.path()) else {
            if !looks_itself(parts.uri.path()) {
                parts.headers.remove(header::AUTHORIZATION);
            }
            return Ok(Outcome::Admitted(None));
        };
        let shown = Shown::of(parts);
        let kind = shown.kind();
        let known = match shown {
            Shown::Nothing => Err(unknown("no API key was sent; send it as `authorization: Bearer YOUR_KEY`").into()),
            Shown::OtherForm => Err(unknown("the authorization header has another form than `Bearer YOUR_KEY`").into()),
            Shown::Secret(secret) => self.by_secret(secret, now),
            Shown::Certificate(peer) => self.by_certificate(&peer.uris, now),
        };
        let principal = match known {
            Ok(principal) => principal,
            Err(Doubt::NewKey(issuer, refusal)) => return Ok(Outcome::Later(issuer, refusal)),
            Err(Doubt::Refused(refusal)) => {
                self.metrics().unknown(kind);
                return Err(refusal);
            }
        };
        if !principal.scopes.has(scope) {
            self.metrics().lacking(kind);
            return Err(lacking(&principal, scope));
        }
        if let (Scope::Infer, Some(why), false) = (scope, &principal.stopped, waits(parts.uri.path())) {
            self.metrics().stopped(kind);
            return Err(ApiError::new(ErrorKind::ResourceExhausted, &**why));
        }
        parts.headers.remove(header::AUTHORIZATION);
        parts.headers.insert(X_TORCHMESH_TENANT, principal.tenant_header.clone());
        if !principal.scopes.has(Scope::PriorityHigh) {
            // Whoever reads the wish knows it; here the message, which may have it too, stays unread.
            parts.headers.insert(X_TORCHMESH_PRIORITY_LIMIT, HeaderValue::from_static("normal"));
        }
        Ok(Outcome::Admitted(Some(principal)))
    }
}

fn lacking(principal: &Principal, scope: Scope) -> ApiError {
    let has = if principal.scopes.is_empty() { "none".to_owned() } else { principal.scopes.to_string() };
    let message = format!("this call needs the scope {scope}, and the credential has {has}; whoever gave it can add the scope");
    ApiError::new(ErrorKind::PermissionDenied, message)
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
    identity: Identity,
}

impl<S> Auth<S> {
    /// Wraps a service.
    pub fn new(inner: S, identity: Identity) -> Self {
        Self { inner, identity }
    }
}

impl<S, R> Service<Request<R>> for Auth<S>
where
    S: Service<Request<R>, Error = ApiError> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = ApiError;
    type Future = Admission<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.identity.admit(&mut parts, now()) {
            Ok(Outcome::Admitted(principal)) => {
                introduce(&mut parts, principal);
                Admission::Admitted { inner: self.inner.call(Request::from_parts(parts, body)) }
            }
            Ok(Outcome::Later(issuer, refusal)) => {
                let (mut inner, identity) = (self.inner.clone(), self.identity.clone());
                let later = async move {
                    let again =
                        if issuer.newer_keys().await { identity.admit(&mut parts, now())? } else { Outcome::Later(issuer, refusal) };
                    let principal = match again {
                        Outcome::Admitted(principal) => principal,
                        Outcome::Later(_, refusal) => {
                            identity.metrics().unknown("token");
                            return Err(refusal);
                        }
                    };
                    introduce(&mut parts, principal);
                    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
                    inner.call(Request::from_parts(parts, body)).await
                };
                Admission::Later { inner: Box::pin(later) }
            }
            Err(error) => Admission::Refused { error: Some(error) },
        }
    }
}

/// A call that waits for an issuer's keys first.
type Later<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send>>;

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Admission<F, T> {
        Admitted {
            #[pin]
            inner: F,
        },
        Later {
            inner: Later<T>,
        },
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, T> Future for Admission<F, T>
where
    F: Future<Output = Result<T, ApiError>>,
{
    type Output = Result<T, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Admitted { inner } => inner.poll(cx),
            Step::Later { inner } => inner.as_mut().poll(cx),
            Step::Refused { error } => {
                let gone = || ApiError::new(ErrorKind::Unauthenticated, "the credential is not valid");
                Poll::Ready(Err(error.take().unwrap_or_else(gone)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use sha2::{Digest as _, Sha256};
    use torchmesh_runtime::server::Peer;

    use super::{
        super::{keys::Keys, principal::CredentialKind, rights::Rights},
        *,
    };

    const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

    fn identity() -> Identity {
        let hash = Sha256::digest("tm_good").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let workload = "[[workload]]\nspiffe = 'spiffe://example.org/ns/*/sa/api'\ntenant = 'bolt'\n";
        Identity::of(Keys::parse(&format!("[[key]]\nname = 'n'\ntenant = 'acme'\nsha256 = '{hash}'\n{workload}")).unwrap())
    }

    fn call(path: &str, authorization: &str) -> Parts {
        let request = Request::post(path).header(header::AUTHORIZATION, authorization);
        request.body(()).unwrap().into_parts().0
    }

    fn admit(parts: &mut Parts) -> Result<Option<Arc<Principal>>, ApiError> {
        match identity().admit(parts, 0)? {
            Outcome::Admitted(principal) => Ok(principal),
            Outcome::Later(_, refusal) => Err(refusal),
        }
    }

    #[test]
    fn a_good_key_becomes_its_tenant_and_goes_no_further() {
        for form in ["Bearer tm_good", "bearer tm_good", "Bearer  tm_good "] {
            let mut parts = call(PATH, form);
            let principal = admit(&mut parts).unwrap().unwrap();
            assert_eq!((parts.headers[X_TORCHMESH_TENANT].as_bytes(), &*principal.credential), (&b"acme"[..], "n"));
            assert!(!parts.headers.contains_key(header::AUTHORIZATION));
        }
    }

    #[test]
    fn a_tenant_whose_credit_is_used_up_calls_no_model_and_is_told_why() {
        let (hash, models) = (Sha256::digest("tm_good").into(), "/v1/models");
        let rights = Rights { stopped: Some("add credit".into()), ..Rights::read("acme", None, None).unwrap() };
        let mut keys = Keys::default();
        keys.let_in(hash, rights.of("n", CredentialKind::ApiKey), None);
        let identity = Identity::of(keys);
        let refused = identity.admit(&mut call(PATH, "Bearer tm_good"), 0).err().unwrap();
        assert_eq!((refused.kind, &*refused.message), (ErrorKind::ResourceExhausted, "add credit"));
        let mut looking = call(models, "Bearer tm_good");
        looking.method = http::Method::GET;
        assert!(identity.admit(&mut looking, 0).is_ok(), "what costs nothing goes on");
        assert!(identity.admit(&mut call("/v1/batches", "Bearer tm_good"), 0).is_ok(), "what waits can wait for credit too");
    }

    #[test]
    fn who_was_let_in_has_by_now_no_more_than_then_and_no_more_than_is_left() {
        let file = |fields: &str| {
            let hash = Sha256::digest("k").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            Identity::of(Keys::parse(&format!("[[key]]\nname = 'n'\ntenant = 'acme'\nsha256 = '{hash}'\n{fields}")).unwrap())
        };
        let then = file("models = ['mini*', 'spam']").admit(&mut call(PATH, "Bearer k"), 0).map(|outcome| match outcome {
            Outcome::Admitted(principal) => principal.unwrap(),
            Outcome::Later(..) => panic!("a key is known at once"),
        });
        let then = then.unwrap();
        let now = file("models = ['mini*', 'vad']").by_now(&then).unwrap();
        assert_eq!(["minilm", "spam", "vad"].map(|model| now.models.allow(model)), [true, false, false]);
        for gone in ["scopes = ['models:read']", "expires = 1970-01-02T00:00:00Z"] {
            assert_eq!(file(gone).by_now(&then), None, "{gone}");
        }
        let rights = Rights { stopped: Some("add credit".into()), ..Rights::read("acme", None, None).unwrap() };
        let mut keys = Keys::default();
        keys.let_in([0; 32], rights.of("n", CredentialKind::ApiKey), None);
        assert_eq!(Identity::of(keys).by_now(&then).unwrap().stopped.as_deref(), Some("add credit"));
    }

    #[test]
    fn everything_else_is_refused_and_the_refusal_does_not_repeat_the_key() {
        for form in ["", "Bearer", "Bearer ", "Bearer tm_bad", "Basic tm_good", "tm_good", "Bearer eyJ.eyJ.x"] {
            let error = admit(&mut call(PATH, form)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated);
            assert!(!error.message.contains("tm_"), "{}", error.message);
        }
        let mut parts = call(PATH, "");
        parts.headers = HeaderMap::new();
        assert!(admit(&mut parts).unwrap_err().message.contains("no API key was sent"));
    }

    #[test]
    fn a_typo_is_told_from_a_key_that_is_not_valid() {
        let right = torchmesh_api::access::key::draw(Some("dev"), &mut || Ok(9)).unwrap().key;
        let typo = right.replace("_9", "_8");
        let message = |key: &str| admit(&mut call(PATH, &format!("Bearer {key}"))).unwrap_err().message;
        assert!(message(&right).contains("not valid") && message(&typo).contains("typo"), "{}", message(&typo));
    }

    #[test]
    fn a_scope_that_is_missing_is_named() {
        let error = admit(&mut call("/v2/repository/models/m/load", "Bearer tm_good")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        assert!(error.message.contains("models:write") && error.message.contains("infer models:read"), "{error}");
    }

    #[test]
    fn a_client_cannot_name_its_own_tenant() {
        let mut parts = call(PATH, "Bearer tm_good");
        parts.headers.insert(X_TORCHMESH_TENANT, HeaderValue::from_static("other"));
        parts.headers.insert(X_TORCHMESH_MODEL, HeaderValue::from_static("secret-model"));
        admit(&mut parts).unwrap();
        assert_eq!(parts.headers[X_TORCHMESH_TENANT], "acme");
        assert!(!parts.headers.contains_key(X_TORCHMESH_MODEL));
    }

    #[test]
    fn only_whoever_may_go_first_is_not_held_to_the_usual_class() {
        let limit = |scopes: &str| {
            let hash = Sha256::digest("k").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            let file = format!("[[key]]\nname = 'n'\ntenant = 'acme'\nsha256 = '{hash}'\nscopes = {scopes}");
            let mut parts = call(PATH, "Bearer k");
            parts.headers.insert(X_TORCHMESH_PRIORITY_LIMIT, HeaderValue::from_static("high"));
            Identity::of(Keys::parse(&file).unwrap()).admit(&mut parts, 0).map(|_| ()).unwrap();
            parts.headers.remove(X_TORCHMESH_PRIORITY_LIMIT)
        };
        assert_eq!(limit("['infer']").unwrap(), "normal");
        assert_eq!((limit("['infer', 'priority:high']"), limit("['admin']")), (None, None));
    }

    #[test]
    fn health_needs_no_key_and_keeps_none() {
        let mut parts = call("/v2/health/live", "Bearer tm_good");
        assert_eq!(admit(&mut parts).unwrap(), None);
        assert!(!parts.headers.contains_key(header::AUTHORIZATION));
        let mut parts = call("/oauth/token", "Basic eDp5");
        assert_eq!(admit(&mut parts).unwrap(), None);
        assert!(parts.headers.contains_key(header::AUTHORIZATION), "a client's secret is for this door");
    }

    #[test]
    fn a_client_certificate_is_a_credential_where_no_other_is_shown() {
        let with = |uris: &[&str], authorization: Option<&str>| {
            let mut parts = call(PATH, authorization.unwrap_or("x"));
            if authorization.is_none() {
                parts.headers.clear();
            }
            let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
            parts.extensions.insert(Arc::new(Peer { addr: ([127, 0, 0, 1], 1).into(), has_certificate: true, uris }));
            admit(&mut parts).map(|principal| principal.unwrap().credential.to_string())
        };
        let id = "spiffe://example.org/ns/search/sa/api";
        assert_eq!(with(&[id], None).unwrap(), id);
        assert_eq!(with(&[id], Some("Bearer tm_good")).unwrap(), "n");
        assert!(with(&[id], Some("Bearer tm_bad")).is_err(), "a wrong key is not made good by a certificate");
        for uris in [&[][..], &[id, id], &["https://example.org"], &["spiffe://example.org/other"]] {
            assert_eq!(with(uris, None).unwrap_err().kind, ErrorKind::Unauthenticated, "{uris:?}");
        }
    }
}
