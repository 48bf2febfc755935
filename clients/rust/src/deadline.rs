//! How long a call may take, over all its tries.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;
use torchmesh_api::{headers::GRPC_TIMEOUT, timeout};
use tower::{Layer, Service, ServiceExt as _};

use crate::{BoxError, BoxFuture, failure};

/// Ends calls, streams among them, when their time is up, and tells the server how much of it is left.
///
/// A call that says how long it may take ([`tonic::Request::set_timeout`]) is taken at its word; the others have the layer's own time. All of
/// a call counts: waiting for a credential, every try, the waits between them, and the whole of a streamed answer. Beneath it, each layer of
/// this crate that sends a call writes `grpc-timeout` anew, with what is left then, and sends nothing when nothing is left.
#[derive(Debug, Clone, Copy)]
pub struct DeadlineLayer {
    usual: Option<Duration>,
}

impl DeadlineLayer {
    /// Calls that do not say how long they may take may take so long.
    pub fn new(usual: Duration) -> Self {
        Self { usual: Some(usual) }
    }

    /// Calls that do not say how long they may take may take as long as the server lets them.
    pub fn as_called() -> Self {
        Self { usual: None }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, usual: self.usual }
    }
}

/// The service of a [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    usual: Option<Duration>,
}

/// When a call's time is up: among its extensions, for the layers beneath.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallDeadline(pub(crate) Instant);

impl CallDeadline {
    /// The deadline that a layer above has set, else the one that the call itself asks for.
    ///
    /// Error: INVALID_ARGUMENT for a `grpc-timeout` that cannot be read.
    pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions) -> Result<Option<Self>, Status> {
        if let Some(set) = extensions.get::<Self>() {
            return Ok(Some(*set));
        }
        let Some(asked) = asked(headers)? else { return Ok(None) };
        Ok(Instant::now().checked_add(asked).map(Self))
    }

    /// What is left; `None` when less is left than `grpc-timeout` can say.
    pub(crate) fn left(self) -> Option<Duration> {
        Some(self.0.saturating_duration_since(Instant::now())).filter(|left| left.as_micros() > 0)
    }
}

fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let wrong = || Status::invalid_argument("grpc-timeout must be at most 8 digits and one of H, M, S, m, u, n; use Request::set_timeout");
    timeout::parse(value.as_bytes()).map(Some).ok_or_else(wrong)
}

/// Writes what is left of a call's time into it.
///
/// Error: DEADLINE_EXCEEDED when nothing is left; the call is not to be sent.
pub(crate) fn stamp<B>(request: &mut Request<B>) -> Result<(), Status> {
    let Some(deadline) = request.extensions().get::<CallDeadline>() else { return Ok(()) };
    let left = deadline.left().ok_or_else(failure::time_is_up)?;
    let text = HeaderValue::try_from(timeout::format(left)).map_err(|_| Status::internal("a timeout is digits and a letter"))?;
    request.headers_mut().insert(GRPC_TIMEOUT, text);
    Ok(())
}

impl<S> Deadline<S> {
    fn begin<R>(&self, request: &mut Request<R>) -> Result<Option<Instant>, Status> {
        let set = CallDeadline::of(request.headers(), request.extensions())?;
        let usual = || self.usual.and_then(|usual| Instant::now().checked_add(usual)).map(CallDeadline);
        let Some(deadline) = set.or_else(usual) else { return Ok(None) };
        request.extensions_mut().insert(deadline);
        stamp(request)?;
        Ok(Some(deadline.0))
    }
}

impl<S, R, B> Service<Request<R>> for Deadline<S>
where
    S: Service<Request<R>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Timed<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Waiting for the inner service counts, so it is done in the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let begun = self.begin(&mut request);
        let inner = self.inner.clone();
        Box::pin(async move {
            let deadline = begun?;
            let answer = inner.oneshot(request);
            let done = match deadline {
                None => answer.await,
                Some(deadline) => timeout_at(deadline, answer).await.map_err(|_| failure::time_is_up())?,
            };
            let timer = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
            Ok(done.map_err(|error| failure::status(error.into()))?.map(|body| Timed { body, timer }))
        })
    }
}

pin_project_lite::pin_project! {
    /// A body that ends with DEADLINE_EXCEEDED when the call's time is up.
    #[derive(Debug)]
    pub struct Timed<B> {
        #[pin]
        body: B,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| failure::status(error.into()).into())));
        }
        match this.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                *this.timer = None;
                Poll::Ready(Some(Err(failure::time_is_up().into())))
            }
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty, StreamBody};
    use tonic::Code;
    use tower::service_fn;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn code(error: BoxError) -> Code {
        Status::from_error(error).code()
    }

    async fn silence(_: Request<()>) -> Result<Response<Empty<Bytes>>, BoxError> {
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_when_its_time_is_up() {
        let began = Instant::now();
        let error = DeadlineLayer::new(MINUTE).layer(service_fn(silence)).call(Request::new(())).await.unwrap_err();
        assert_eq!((code(error), began.elapsed().as_secs()), (Code::DeadlineExceeded, 60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_calls_own_time_goes_before_the_layers() {
        let began = Instant::now();
        let request = Request::builder().header(GRPC_TIMEOUT, "90S").body(()).unwrap();
        DeadlineLayer::new(MINUTE).layer(service_fn(silence)).call(request).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_told_what_is_left() {
        let told = service_fn(async |request: Request<()>| {
            assert_eq!(timeout::parse(request.headers()[GRPC_TIMEOUT].as_bytes()), Some(MINUTE));
            Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
        });
        DeadlineLayer::new(MINUTE).layer(told).call(Request::new(())).await.unwrap();
    }

    #[tokio::test]
    async fn a_call_without_time_or_with_an_unreadable_one_is_not_sent() {
        let unsent = service_fn(async |_: Request<()>| -> Result<Response<Empty<Bytes>>, BoxError> { panic!("it was sent") });
        for (asked, want) in [("0n", Code::DeadlineExceeded), ("900n", Code::DeadlineExceeded), ("soon", Code::InvalidArgument)] {
            let request = Request::builder().header(GRPC_TIMEOUT, asked).body(()).unwrap();
            assert_eq!(code(DeadlineLayer::new(MINUTE).layer(unsent).call(request).await.unwrap_err()), want, "{asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_the_calls_time_is_up() {
        let began = Instant::now();
        let endless = service_fn(async |_: Request<()>| {
            let frames = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
            Ok::<_, BoxError>(Response::new(StreamBody::new(frames)))
        });
        let mut body = DeadlineLayer::new(MINUTE).layer(endless).call(Request::new(())).await.unwrap().into_body();
        assert_eq!(code(body.frame().await.unwrap().unwrap_err()), Code::DeadlineExceeded);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_of_its_own_the_layer_adds_none() {
        let untold = service_fn(async |request: Request<()>| {
            assert!(!request.headers().contains_key(GRPC_TIMEOUT));
            Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
        });
        DeadlineLayer::as_called().layer(untold).call(Request::new(())).await.unwrap();
    }
}
