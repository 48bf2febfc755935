//! Gives every call that was let in its own figures, and has it metered where calls are.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use torchmesh_api::error::{ApiError, ErrorKind};
use tower::Service;

use super::{
    Measured, Meter,
    call::MeteredCall,
    metered::{Metered, Metering},
};

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
    B: Body<Data = Bytes>,
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
        request.extensions_mut().insert(measured);
        Begun::LetIn { answer: Metering::new(self.inner.call(request), call) }
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
        },
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, B> Future for Begun<F, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<Metered<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::LetIn { answer } => answer.poll(cx),
            Step::Refused { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| ApiError::new(ErrorKind::Unavailable, "the call was refused"))))
            }
        }
    }
}
