//! Lets a call in when its key is known, and says who calls.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{HeaderMap, Request, header};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MIRRORED, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_TENANT},
};
use torchmesh_layers::call::CallContext;
use torchmesh_runtime::process::{Context, StartError};
use tower::Service;

use crate::keys::Keys;

/// How often the keys file is looked at: a key that was taken out is refused after at most this long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Paths that anybody may ask: whether we live, and what our API looks like.
const OPEN: [&str; 10] = [
    "/openapi.json",
    "/docs",
    "/docs/errors",
    "/v2/health/",
    "/ping",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
];

/// The known keys, kept up to date with their file.
#[derive(Debug, Clone)]
pub struct Keyring(Arc<ArcSwap<Keys>>);

impl Keyring {
    /// Reads the file and begins to watch it. A change that is wrong is reported in the log, and the last good keys stay.
    pub fn open(path: &Path, context: &Context) -> Result<Self, StartError> {
        let ring = Self(Arc::new(ArcSwap::from_pointee(Keys::read(path).map_err(|error| format!("keys_file: {error}"))?)));
        context.control.spawn(ring.clone().watch(path.to_owned()));
        Ok(ring)
    }

    async fn watch(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = std::fs::read(&path).unwrap_or_default();
        loop {
            tick.tick().await;
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if bytes == last {
                continue;
            }
            last = bytes;
            match Keys::read(&path) {
                Ok(keys) => {
                    tracing::info!(keys = keys.count(), "the keys file changed");
                    self.0.store(Arc::new(keys));
                }
                Err(error) => tracing::error!(error, "the keys file is wrong; the last good keys stay in use"),
            }
        }
    }

    /// Checks the call's key, and replaces it by the tenant: the key goes no further.
    fn admit(&self, path: &str, headers: &mut HeaderMap) -> Result<(), ApiError> {
        // What only the mesh may say, a client cannot say for it.
        for name in [X_TORCHMESH_TENANT, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MIRRORED] {
            headers.remove(name);
        }
        let sent = headers.remove(header::AUTHORIZATION);
        // A folder is open with all that is in it, a path only as it is.
        if OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open))) {
            return Ok(());
        }
        let refuse = |message: &str| Err(ApiError::new(ErrorKind::Unauthenticated, message));
        let Some(sent) = sent else {
            return refuse("no API key was sent; send it as `authorization: Bearer YOUR_KEY`");
        };
        let Some(key) = bearer(sent.as_bytes()) else {
            return refuse("the authorization header has another form than `Bearer YOUR_KEY`");
        };
        match self.0.load().find(key) {
            Some(identity) => {
                headers.insert(X_TORCHMESH_TENANT, identity.tenant.clone());
                Ok(())
            }
            None => refuse("the API key is not valid; check that it was copied whole and that it was not revoked"),
        }
    }
}

/// The token of a `Bearer` authorization (RFC 6750, section 2.1); the scheme's case does not matter.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
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
        match self.keyring.admit(parts.uri.path(), &mut parts.headers) {
            Ok(()) => {
                // For the calls that the gateway makes itself on behalf of this one.
                if let Some(call) = parts.extensions.get_mut::<CallContext>() {
                    call.tenant = parts.headers.get(X_TORCHMESH_TENANT).cloned();
                }
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

    use super::*;

    const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";

    fn ring() -> Keyring {
        let hash = Sha256::digest("tm_good").iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let keys = Keys::parse(&format!("[[key]]\nname = 'n'\ntenant = 'acme'\nsha256 = '{hash}'")).unwrap();
        Keyring(Arc::new(ArcSwap::from_pointee(keys)))
    }

    fn headers(authorization: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(authorization))])
    }

    #[test]
    fn a_good_key_becomes_its_tenant_and_goes_no_further() {
        for form in ["Bearer tm_good", "bearer tm_good", "Bearer  tm_good "] {
            let mut headers = headers(form);
            ring().admit(PATH, &mut headers).unwrap();
            assert_eq!(headers[X_TORCHMESH_TENANT], "acme");
            assert!(!headers.contains_key(header::AUTHORIZATION));
        }
    }

    #[test]
    fn everything_else_is_refused_and_the_refusal_does_not_repeat_the_key() {
        for form in ["", "Bearer", "Bearer ", "Bearer tm_bad", "Basic tm_good", "tm_good"] {
            let error = ring().admit(PATH, &mut headers(form)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthenticated);
            assert!(!error.message.contains("tm_"), "{}", error.message);
        }
        assert!(ring().admit(PATH, &mut HeaderMap::new()).is_err());
    }

    #[test]
    fn a_client_cannot_name_its_own_tenant() {
        let mut headers = headers("Bearer tm_good");
        headers.insert(X_TORCHMESH_TENANT, HeaderValue::from_static("other"));
        headers.insert(X_TORCHMESH_MODEL, HeaderValue::from_static("secret-model"));
        ring().admit(PATH, &mut headers).unwrap();
        assert_eq!(headers[X_TORCHMESH_TENANT], "acme");
        assert!(!headers.contains_key(X_TORCHMESH_MODEL));
    }

    #[test]
    fn health_needs_no_key_and_a_path_that_only_looks_like_it_does() {
        assert!(ring().admit("/v2/health/live", &mut HeaderMap::new()).is_ok());
        for path in ["/v2/healthy", "/pingpong", "/inference.GRPCInferenceService/ServerReadyNot"] {
            assert!(ring().admit(path, &mut HeaderMap::new()).is_err(), "{path} was let in");
        }
    }
}
