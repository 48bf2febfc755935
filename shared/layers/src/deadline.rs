//! Ends what takes too long: the call and the body of its answer.
//!
//! tonic's own timers cover neither a stream's body nor say DEADLINE_EXCEEDED, and nothing of it tells the next hop what is left.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{GRPC_MESSAGE, GRPC_STATUS, GRPC_TIMEOUT, X_REQUEST_TIMEOUT},
    timeout,
};
use tower::Service;

use crate::call::CallContext;

const TIME_IS_UP: &str = "the time allowed for this request is up";

/// How long calls may take.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// For a call that does not say.
    pub default: Duration,
    /// For a call that asks for more.
    pub max: Duration,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    allowance: Allowance,
}

impl<S> Deadline<S> {
    /// Wraps a service.
    pub fn new(inner: S, allowance: Allowance) -> Self {
        Self { inner, allowance }
    }

    fn allowed(&self, headers: &HeaderMap) -> Result<Duration, ApiError> {
        let wrong = |message| ApiError::new(ErrorKind::InvalidArgument, message);
        let asked = if let Some(asked) = headers.get(GRPC_TIMEOUT) {
            timeout::parse(asked.as_bytes())
                .ok_or_else(|| wrong("grpc-timeout must be at most 8 digits and one of H, M, S, m, u, n, such as 500m"))?
        } else if let Some(asked) = headers.get(X_REQUEST_TIMEOUT) {
            seconds(asked).ok_or_else(|| wrong("x-request-timeout must be a number of seconds from 0, such as 2.5"))?
        } else {
            return Ok(self.allowance.default);
        };
        Ok(asked.min(self.allowance.max))
    }
}

fn seconds(text: &HeaderValue) -> Option<Duration> {
    let asked: f64 = text.to_str().ok()?.parse().ok()?;
    // More than a duration can hold is more than is allowed, too.
    if asked >= 0.0 { Some(Duration::try_from_secs_f64(asked).unwrap_or(Duration::MAX)) } else { None }
}

impl<S, R, B> Service<Request<R>> for Deadline<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
{
    type Response = Response<Timed<B>>;
    type Error = ApiError;
    type Future = Timing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let allowed = match self.allowed(request.headers()) {
            // A timer would let a quick answer pass, or the work begin.
            Ok(Duration::ZERO) => return Timing::Refused { error: Some(ApiError::new(ErrorKind::DeadlineExceeded, TIME_IS_UP)) },
            Ok(allowed) => allowed,
            Err(error) => return Timing::Refused { error: Some(error) },
        };
        let context = request.extensions_mut().get_mut::<CallContext>();
        let deadline = context.as_ref().map_or_else(Instant::now, |call| call.started) + allowed;
        if let Some(call) = context {
            call.deadline = Some(deadline);
        }
        Timing::Running { inner: self.inner.call(request), timer: Some(Box::pin(sleep_until(deadline.into()))) }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or DEADLINE_EXCEEDED.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Timing<F> {
        /// Within its time.
        Running {
            #[pin]
            inner: F,
            // Its end.
            timer: Option<Pin<Box<Sleep>>>,
        },
        /// A timeout that could not be read, or none left.
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, B> Future for Timing<F>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
{
    type Output = Result<Response<Timed<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let expired = || ApiError::new(ErrorKind::DeadlineExceeded, TIME_IS_UP);
        match self.project() {
            Step::Refused { error } => Poll::Ready(Err(error.take().unwrap_or_else(expired))),
            Step::Running { inner, timer } => {
                if let Poll::Ready(done) = inner.poll(cx) {
                    return Poll::Ready(done.map(|response| response.map(|body| Timed { body, timer: timer.take(), over: false })));
                }
                match timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
                    Some(Poll::Ready(())) => Poll::Ready(Err(expired())),
                    _ => Poll::Pending,
                }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// A body that ends with DEADLINE_EXCEEDED when the time is up.
    pub struct Timed<B> {
        #[pin]
        body: B,
        timer: Option<Pin<Box<Sleep>>>,
        // The trailers that say so were sent; nothing of the inner body may follow them.
        over: bool,
    }
}

impl<B> From<B> for Timed<B> {
    fn from(body: B) -> Self {
        Self { body, timer: None, over: false }
    }
}

impl<B: Default> Default for Timed<B> {
    fn default() -> Self {
        Self { body: B::default(), timer: None, over: false }
    }
}

impl<B: Body<Data = Bytes>> Body for Timed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if *this.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            return Poll::Ready(frame);
        }
        match this.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                (*this.timer, *this.over) = (None, true);
                Poll::Ready(Some(Ok(Frame::trailers(time_is_up()))))
            }
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn time_is_up() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("4"));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(TIME_IS_UP));
    trailers
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, Empty};
    use tower::service_fn;

    use super::*;

    const HOUR: Allowance = Allowance { default: Duration::from_secs(60), max: Duration::from_secs(3600) };

    fn request(timeout: &'static str) -> Request<()> {
        Request::builder().header(GRPC_TIMEOUT, timeout).body(()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_outlasts_its_timeout_is_deadline_exceeded() {
        let inner = service_fn(|_: Request<()>| std::future::pending::<Result<Response<Empty<Bytes>>, ApiError>>());
        let error = Deadline::new(inner, HOUR).call(request("50m")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
    }

    /// A stream that never sends anything.
    #[derive(Debug)]
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_outlasts_its_timeout_ends_with_the_status_in_its_trailers() {
        let inner = service_fn(|_: Request<()>| async { Ok::<_, ApiError>(Response::new(Silent)) });
        let response = Deadline::new(inner, HOUR).call(request("50m")).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()[GRPC_STATUS], "4");
    }

    #[tokio::test]
    async fn a_timeout_that_cannot_be_read_is_refused_and_one_too_long_is_cut() {
        let inner = service_fn(|_: Request<()>| std::future::pending::<Result<Response<Empty<Bytes>>, ApiError>>());
        let mut layer = Deadline::new(inner, HOUR);
        let error = layer.call(request("soon")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert_eq!(layer.allowed(request("99H").headers()).unwrap(), HOUR.max);
    }

    #[test]
    fn seconds_are_read_where_there_is_no_grpc_timeout() {
        let layer = Deadline::new((), HOUR);
        let allowed = |headers: &[(http::HeaderName, &'static str)]| {
            layer.allowed(&headers.iter().map(|(name, text)| (name.clone(), HeaderValue::from_static(text))).collect())
        };
        assert_eq!(allowed(&[]).unwrap(), HOUR.default);
        assert_eq!(allowed(&[(X_REQUEST_TIMEOUT, "2.5")]).unwrap(), Duration::from_millis(2500));
        assert_eq!(allowed(&[(X_REQUEST_TIMEOUT, "1e300")]).unwrap(), HOUR.max);
        assert_eq!(allowed(&[(X_REQUEST_TIMEOUT, "9"), (GRPC_TIMEOUT, "1S")]).unwrap(), Duration::from_secs(1));
        for wrong in ["", "soon", "-1", "NaN", "2s"] {
            assert!(allowed(&[(X_REQUEST_TIMEOUT, wrong)]).unwrap_err().message.contains("seconds"), "{wrong:?} was taken");
        }
    }

    #[tokio::test]
    async fn a_call_without_any_time_left_is_not_begun() {
        let inner = service_fn(|_: Request<()>| async { Ok::<_, ApiError>(Response::new(Empty::<Bytes>::new())) });
        let error = Deadline::new(inner, HOUR).call(request("0m")).await.err().unwrap();
        assert_eq!(error.kind, ErrorKind::DeadlineExceeded);
    }
}
