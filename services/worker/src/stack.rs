//! What a call passes before its handler, in this order: its trace, its deadline, the choice of the service.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tonic::{Status, body::Body, service::Routes};
use torchmesh_api::{
    audio::v1::audio_service_server::AudioServiceServer,
    error::{ApiError, ErrorKind},
    headers::{GRPC_MESSAGE, GRPC_STATUS, GRPC_TIMEOUT, TRACEPARENT},
    inference::grpc_inference_service_server::GrpcInferenceServiceServer,
    text::v1::{generation_service_server::GenerationServiceServer, text_service_server::TextServiceServer},
    timeout,
    trace::TraceContext,
    vision::v1::vision_service_server::VisionServiceServer,
};
use torchmesh_runtime::remote_span;
use tower::Service;
use tracing::Span;

use crate::{
    admission::deadline_exceeded,
    handlers::{Audio, CallInfo, Front, Generation, Inference, Text, Vision},
};

/// The whole of what a data thread serves. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stack {
    inference: GrpcInferenceServiceServer<Inference>,
    text: TextServiceServer<Text>,
    generation: GenerationServiceServer<Generation>,
    vision: VisionServiceServer<Vision>,
    audio: AudioServiceServer<Audio>,
    other: Routes,
    max_message: usize,
}

impl Stack {
    /// Joins the handlers with `other` routes (health, reflection). A message longer than `max_message` bytes is refused.
    pub fn new(front: &Arc<Front>, other: Routes, max_message: usize) -> Self {
        Self {
            inference: GrpcInferenceServiceServer::new(Inference::new(Arc::clone(front))).max_decoding_message_size(max_message),
            text: TextServiceServer::new(Text::new(Arc::clone(front))).max_decoding_message_size(max_message),
            generation: GenerationServiceServer::new(Generation::new(Arc::clone(front))).max_decoding_message_size(max_message),
            vision: VisionServiceServer::new(Vision::new(Arc::clone(front))).max_decoding_message_size(max_message),
            audio: AudioServiceServer::new(Audio::new(Arc::clone(front))).max_decoding_message_size(max_message),
            other: other.prepare(),
            max_message,
        }
    }
}

/// Of `Routes`, which does not name it.
type RoutesFuture = <Routes as Service<Request<Body>>>::Future;
type Served = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<B> Service<Request<B>> for Stack
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call<Either<Served, RoutesFuture>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The queues behind the handlers say when it is too much, in words that a caller can use.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let span = span(request.headers());
        let deadline = deadline(request.headers());
        if deadline.is_some() || !span.is_none() {
            request.extensions_mut().insert(CallInfo::unknown(deadline, span.clone()));
        }
        // Told apart here rather than by the routes: a general router costs each call a microsecond.
        let inner = match request.uri().path().split('/').nth(1) {
            Some("inference.GRPCInferenceService") => Either::Left(self.inference.call(request)),
            Some("torchmesh.text.v1.TextService") => Either::Left(self.text.call(request)),
            Some("torchmesh.text.v1.GenerationService") => Either::Left(self.generation.call(request)),
            Some("torchmesh.vision.v1.VisionService") => Either::Left(self.vision.call(request)),
            Some("torchmesh.audio.v1.AudioService") => Either::Left(self.audio.call(request)),
            _ => Either::Right(self.other.call(request)),
        };
        Call { inner, timer: deadline.map(|deadline| sleep_until(deadline.into())), span, max_message: self.max_message }
    }
}

fn span(headers: &HeaderMap) -> Span {
    match headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes())) {
        Some(trace) => remote_span!(&trace, "worker.call"),
        None => Span::none(),
    }
}

/// A `grpc-timeout` that is not of the specification's form is no deadline, as other servers have it.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let timeout = timeout::parse(headers.get(GRPC_TIMEOUT)?.as_bytes())?;
    Instant::now().checked_add(timeout)
}

pin_project! {
    /// A call on its way: answered by its handler, or with `DEADLINE_EXCEEDED` when its time is up. Either way the handler is gone
    /// afterwards, and with it whatever it had in a queue.
    #[derive(Debug)]
    pub struct Call<F> {
        #[pin]
        inner: F,
        #[pin]
        timer: Option<Sleep>,
        span: Span,
        max_message: usize,
    }
}

const OUT_OF_RANGE: &str = "11";
const INTERNAL: &str = "13";
/// How messages begin, percent-encoded, about what cannot be decoded (prost), and what is not there or ends too soon (tonic).
const UNDECODABLE: [&[u8]; 3] = [b"failed%20to%20decode", b"Missing%20request", b"Unexpected%20EOF"];

/// Gives the errors that tonic finds by itself, before any handler, the codes and words of ours.
fn clarify(answer: Response<Body>, max_message: usize) -> Response<Body> {
    // Only an answer that is nothing but an error has its status in front.
    let Some(status) = answer.headers().get(GRPC_STATUS) else { return answer };
    let message = answer.headers().get(GRPC_MESSAGE).map(HeaderValue::as_bytes).unwrap_or_default();
    let error = if status == OUT_OF_RANGE {
        ApiError::new(
            ErrorKind::TooLarge,
            format!("the message is longer than the {max_message} bytes that this worker takes; send less at once"),
        )
    } else if status == INTERNAL && UNDECODABLE.iter().any(|begin| message.starts_with(begin)) {
        let advice = "the message is not what this method takes, or a text in it is not UTF-8; encode it with the published proto";
        ApiError::new(ErrorKind::InvalidArgument, advice)
    } else {
        return answer;
    };
    Status::from(error).into_http()
}

impl<F> Future for Call<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = (!this.span.is_none()).then(|| this.span.enter());
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer.map(|answer| clarify(answer, *this.max_message)));
        }
        let late = this.timer.as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
        if late { Poll::Ready(Ok(Status::from(deadline_exceeded()).into_http())) } else { Poll::Pending }
    }
}
