//! Who calls: a key, or tokens that are renewed.

mod cached;
mod credentials;
mod endpoint;
mod token;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service, ServiceExt as _};

pub use cached::{CachedTokens, FetchToken, Lease};
pub use credentials::ClientCredentials;
pub use token::{BadToken, Token};

use crate::{
    BoxError, BoxFuture,
    deadline::stamp,
    failure,
    outgoing::{Outgoing, Parts},
};

/// The largest call that is kept to be sent again with a new token.
const KEEP_BYTES: usize = 4 << 20;

/// Where the credential of each call comes from.
///
/// A source that fetches tokens implements [`FetchToken`] instead, and [`CachedTokens`] makes a source of it that fetches once for all who wait.
pub trait TokenSource: Send + Sync + 'static {
    /// The credential for a call that is about to be sent.
    ///
    /// Error: what the call ends with; UNAVAILABLE where another try may have one.
    fn token(&self) -> BoxFuture<'_, Result<Token, Status>>;

    /// A server has refused this credential (UNAUTHENTICATED). Whether it is worth asking for another.
    fn refused(&self, token: &Token) -> bool {
        let _ = token;
        false
    }
}

/// A key, which is always the same.
impl TokenSource for Token {
    fn token(&self) -> BoxFuture<'_, Result<Token, Status>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

/// Adds the credential of a [`TokenSource`] to every call, as `authorization: Bearer …`.
///
/// A call that the server refuses as UNAUTHENTICATED is sent once more with a new credential, where the source has one. A call that brings an
/// `authorization` of its own keeps it.
#[derive(Clone)]
pub struct AuthLayer {
    source: Arc<dyn TokenSource>,
}

impl AuthLayer {
    /// Tokens of a source.
    pub fn new(source: impl TokenSource) -> Self {
        Self { source: Arc::new(source) }
    }

    /// An API key.
    ///
    /// Error: it has letters that no key has.
    pub fn api_key(key: &str) -> Result<Self, BadToken> {
        Token::bearer(key).map(Self::new)
    }

    /// No credential.
    pub(crate) fn anonymous() -> Self {
        Self::new(Anonymous)
    }
}

impl std::fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthLayer").finish_non_exhaustive()
    }
}

struct Anonymous;

impl TokenSource for Anonymous {
    fn token(&self) -> BoxFuture<'_, Result<Token, Status>> {
        Box::pin(std::future::ready(Ok(Token::none())))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, source: Arc::clone(&self.source) }
    }
}

/// The service of an [`AuthLayer`].
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    source: Arc<dyn TokenSource>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Auth<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The inner service is waited for once there is a credential, so it is done in the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, source) = (self.inner.clone(), Arc::clone(&self.source));
        Box::pin(async move {
            if request.headers().contains_key(AUTHORIZATION) {
                return send(inner, request).await;
            }
            with_token(inner, &*source, request).await
        })
    }
}

async fn with_token<S, B>(inner: S, source: &dyn TokenSource, request: Request<Body>) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let request = |token: &Token, body| {
        let mut request = Request::from_parts(head.clone(), body);
        token.add_to(request.headers_mut());
        request
    };
    let token = source.token().await?;
    let parts: Parts = match Outgoing::read(body, KEEP_BYTES).await? {
        Outgoing::Whole(parts) => parts,
        Outgoing::Once(parts, rest) => return send(inner, request(&token, parts.followed_by(rest))).await,
    };
    let answer = send(inner.clone(), request(&token, parts.body())).await;
    if !is_refusal(&answer) || !source.refused(&token) {
        return answer;
    }
    tracing::debug!("the server refused the token; the call is sent once more with a new one");
    let token = source.token().await?;
    send(inner, request(&token, parts.body())).await
}

async fn send<S, B>(inner: S, mut request: Request<Body>) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    // Waiting for a token has taken time.
    stamp(&mut request)?;
    inner.oneshot(request).await.map_err(Into::into)
}

fn is_refusal<B>(answer: &Result<Response<B>, BoxError>) -> bool {
    let code = answer.as_ref().ok().and_then(|answer| failure::code(answer.status(), answer.headers()));
    code == Some(Code::Unauthenticated)
}
