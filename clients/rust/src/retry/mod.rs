//! Sending a call again that nobody has answered.

mod begun;
mod decision;
mod policy;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::HeaderName, request};
use tokio::time::sleep;
use tonic::{Code, body::Body};
use torchmesh_retry::{Hint, RetryBudget};
use tower::{Layer, Service, ServiceExt as _};

pub use begun::Begun;
pub use policy::RetryPolicy;

use crate::{
    BoxError, BoxFuture,
    deadline::{CallDeadline, stamp},
    failure,
    outgoing::{Outgoing, Parts},
};
use decision::{Failed, pause};

/// How many tries there were before this one (gRPC's proposal A6).
const PREVIOUS_TRIES: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Sends calls again that failed before anything of their answer came, as far as a [`RetryPolicy`] says.
///
/// Sent again is what ended with UNAVAILABLE, or with RESOURCE_EXHAUSTED where the server says when to come back; never what the server says
/// not to send again (`grpc-retry-pushback-ms: -1`), what has begun to answer, what is still being written by its caller, or what is larger
/// than [`RetryPolicy::keep_bytes`]. A wait is as long as the server asks for, and on top of that an exponential back-off with full jitter;
/// one that would outlast the call's deadline is not begun, and the failure goes to the caller at once. All calls through clones of one
/// layer share its budget: when everything fails, tries are a fraction more than calls, not a multiple of them.
#[derive(Debug, Clone)]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    policy: RetryPolicy,
    budget: RetryBudget,
}

impl RetryLayer {
    /// A layer with a budget of its own.
    pub fn new(policy: RetryPolicy) -> Self {
        let budget = RetryBudget::new(policy.budget_ratio, policy.budget_reserve);
        Self { shared: Arc::new(Shared { policy, budget }) }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, shared: Arc::clone(&self.shared) }
    }
}

/// The service of a [`RetryLayer`].
#[derive(Debug, Clone)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B> Service<Request<Body>> for Retry<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Begun<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Each try waits for the inner service anew, so it is done in the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(run(self.inner.clone(), Arc::clone(&self.shared), request))
    }
}

async fn run<S, B>(inner: S, shared: Arc<Shared>, request: Request<Body>) -> Result<Response<Begun<B>>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Shared { policy, budget } = &*shared;
    let (mut head, body) = request.into_parts();
    let deadline = CallDeadline::of(&head.headers, &head.extensions)?;
    if let Some(deadline) = deadline {
        head.extensions.insert(deadline);
    }
    budget.deposit();
    let body = match Outgoing::read(body, policy.keep_bytes).await? {
        Outgoing::Whole(parts) => parts,
        Outgoing::Once(parts, rest) => return once(inner, Request::from_parts(head, parts.followed_by(rest))).await,
    };
    let mut tries = 0;
    loop {
        let Failure { code, hint, answer } = match attempt(inner.clone(), &head, &body, tries).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        tries += 1;
        let failed = Failed { code, hint, tries, left: deadline.map(|deadline| deadline.left().unwrap_or_default()) };
        let Some(pause) = pause(policy, &failed, fastrand::f64()).filter(|_| budget.withdraw()) else { return answer };
        tracing::debug!(?code, tries, ?pause, "a call failed and is sent again");
        sleep(pause).await;
    }
}

/// A call that cannot be sent again.
async fn once<S, B>(inner: S, mut request: Request<Body>) -> Result<Response<Begun<B>>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    stamp(&mut request)?;
    let answer = inner.oneshot(request).await.map_err(|error| failure::status(error.into()))?;
    Ok(answer.map(Begun::unread))
}

/// A try that came to nothing, and what the caller gets if it was the last.
struct Failure<B> {
    code: Code,
    hint: Hint,
    answer: Result<Response<Begun<B>>, BoxError>,
}

impl<B> Failure<B> {
    fn of_error(error: BoxError) -> Self {
        let status = failure::status(error);
        let hint = Hint::read(status.clone().into_http::<()>().headers());
        Self { code: status.code(), hint, answer: Err(status.into()) }
    }
}

async fn attempt<S, B>(inner: S, head: &request::Parts, body: &Parts, before: u32) -> Result<Response<Begun<B>>, Failure<B>>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut request = Request::from_parts(head.clone(), body.body());
    if before > 0 {
        request.headers_mut().insert(PREVIOUS_TRIES, HeaderValue::from(before));
    }
    stamp(&mut request).map_err(|status| Failure::of_error(status.into()))?;
    let answer = inner.oneshot(request).await.map_err(|error| Failure::of_error(error.into()))?;
    let (head, body) = answer.into_parts();
    if let Some(code) = failure::code(head.status, &head.headers) {
        let hint = Hint::read(&head.headers);
        let answer = Response::from_parts(head, Begun::unread(body));
        return if code == Code::Ok { Ok(answer) } else { Err(Failure { code, hint, answer: Ok(answer) }) };
    }
    // The request is out, so whatever comes first is the answer's own doing, and waiting for it keeps nobody from writing.
    let body = Begun::read(body).await.map_err(Failure::of_error)?;
    let told = body.trailers().and_then(|trailers| Some((failure::code(head.status, trailers)?, Hint::read(trailers))));
    let answer = Response::from_parts(head, body);
    match told {
        Some((code, hint)) if code != Code::Ok => Err(Failure { code, hint, answer: Ok(answer) }),
        _ => Ok(answer),
    }
}
