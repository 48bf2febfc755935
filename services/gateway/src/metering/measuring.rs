//! Gives every call that was let in its own figures, and has it metered where calls are.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::X_CACHE,
};
use torchmesh_relay::BoxError;
use tower::Service;

use super::{
    Measured, Meter,
    call::MeteredCall,
    metered::{Metered, Metering},
};
use crate::redaction::{self, X_TORCHMESH_REDACTED};

/// See the module.
#[derive(Debug, Clone)]
pub struct Measuring<S> {
    inner: S,
    meter: Option<Meter>,
}

impl<S> Measuring<S> {
    /// Wraps a service; without a meter, calls are measured and nothing is written.
    pub fn new(inner: S, meter: Option<Meter>) -> Self {
        Self { inner, meter }
    }
}

impl<S, R, B> Service<Request<R>> for Measuring<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Response = Response<Metered<B>>;
    type Error = ApiError;
    type Future = Begun<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let measured = Arc::<Measured>::default();
        let mut call = MeteredCall::none();
        if let Some(meter) = &self.meter {
            call = MeteredCall::begin(meter, &measured, &request);
            if let (true, Err(error)) = (call.is_metered(), meter.admit()) {
                // There is nowhere to write an event to.
                call.forget();
                return Begun::Refused { error: Some(error) };
            }
        }
        request.extensions_mut().insert(Arc::clone(&measured));
        Begun::LetIn { answer: Metering::new(self.inner.call(request), call), measured }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Begun<F, B> {
        LetIn {
            #[pin]
            answer: Metering<F, B>,
            measured: Arc<Measured>,
        },
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, B> Future for Begun<F, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Output = Result<Response<Metered<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::LetIn { answer, measured } => answer.poll(cx).map_ok(|response| said_of_the_call(response, measured)),
            Step::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| ApiError::new(ErrorKind::Unavailable, "the call was refused"))))
            }
        }
    }
}

/// Tells a caller over HTTP what callers over gRPC read in the headers that are passed on to them; and both, what was replaced in what they sent.
fn said_of_the_call<B>(mut response: Response<B>, measured: &Measured) -> Response<B> {
    if let Some(from_cache) = measured.from_cache() {
        let said = HeaderValue::from_static(if from_cache { "hit" } else { "miss" });
        response.headers_mut().insert(X_CACHE, said);
    }
    if let Some(said) = measured.redacted().and_then(|counts| redaction::header(&counts)) {
        response.headers_mut().insert(X_TORCHMESH_REDACTED, said);
    }
    response
}
