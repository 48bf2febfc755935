//! Knows every call from its first byte to its last: its trace, its metrics, and that its caller left.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use torchmesh_api::{
    headers::{GRPC_STATUS, X_REQUEST_ID},
    ids::ModelName,
    trace::TraceContext,
};
use tower::Service;
use tracing::Span;

use crate::{
    call::{CallContext, ServedModel},
    errors::Door,
};

/// How a process traces: given by its runtime.
#[derive(Debug, Clone, Copy)]
pub struct Tracing {
    /// Whether a new trace is recorded, decided from a random number.
    pub sample: fn(u64) -> bool,
    /// Opens a call's span, and gives the context for the next hop.
    pub open: fn(&TraceContext) -> (Span, TraceContext),
}

/// How a call ended: a gRPC code, an HTTP status, or the caller's leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Grpc(u8),
    Http(u16),
    Cancelled,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Grpc(code) => write!(encoder, "{:?}", tonic::Code::from_i32(i32::from(*code))),
            Self::Http(status) => write!(encoder, "{status}"),
            Self::Cancelled => encoder.write_str("CallerLeft"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Model(Option<ModelName>);

impl EncodeLabelValue for Model {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.as_ref().map_or("", ModelName::as_str))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    model: Model,
    code: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: Model,
}

/// The metrics of a service's calls. The model label is set only for models that exist, so its values are bounded.
#[derive(Debug, Clone)]
pub struct CallMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: Family<Labels, Counter>,
    seconds: Family<ModelLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl CallMetrics {
    /// Registers `torchmesh_<service>_requests_total`, `…_request_seconds` and `…_in_flight_requests`.
    pub fn register(registry: &mut Registry, service: &str) -> Self {
        let buckets: fn() -> Histogram =
            || Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        let inner = Inner { calls: Family::default(), seconds: Family::new_with_constructor(buckets), in_flight: Gauge::default() };
        let registry = registry.sub_registry_with_prefix(format!("torchmesh_{service}"));
        registry.register("requests", "Calls that ended, by model and by how they ended", inner.calls.clone());
        registry.register("request_seconds", "From the first byte of a call to the last of its answer", inner.seconds.clone());
        registry.register("in_flight_requests", "Calls that have not ended", inner.in_flight.clone());
        Self(Arc::new(inner))
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    metrics: CallMetrics,
    tracing: Tracing,
    tells_id: bool,
}

impl<S> Observe<S> {
    /// Wraps a service.
    pub fn new(inner: S, metrics: CallMetrics, tracing: Tracing) -> Self {
        Self { inner, metrics, tracing, tells_id: false }
    }

    /// Puts the request's id into the answer: for the service at the edge.
    #[must_use]
    pub fn telling_the_request_id(self) -> Self {
        Self { tells_id: true, ..self }
    }
}

impl<S, R, B> Service<Request<R>> for Observe<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Response = Response<Observed<B>>;
    type Error = Infallible;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let mut call = CallContext::read(request.headers(), Instant::now(), self.tracing.sample);
        let (span, trace) = (self.tracing.open)(&call.trace);
        call.trace = trace;
        self.metrics.0.in_flight.inc();
        let record = Record {
            metrics: self.metrics.clone(),
            started: call.started,
            door: Door::of(request.headers()),
            model: None,
            outcome: Outcome::Cancelled,
            span,
        };
        let request_id = self.tells_id.then(|| call.request_id());
        request.extensions_mut().insert(call);
        Observing { inner: self.inner.call(request), record: Some(record), request_id }
    }
}

/// One call's entry; it is written when it is dropped, and says "cancelled" until an end was seen.
#[derive(Debug)]
struct Record {
    metrics: CallMetrics,
    started: Instant,
    door: Door,
    model: Option<ModelName>,
    outcome: Outcome,
    span: Span,
}

impl Record {
    fn answered<B>(&mut self, response: &Response<B>) {
        self.model = response.extensions().get::<ServedModel>().map(|served| served.0.clone());
        self.trailers(response.headers());
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let code = trailers.get(GRPC_STATUS).and_then(|code| code.to_str().ok()?.parse().ok());
        if let Some(code) = code {
            self.outcome = Outcome::Grpc(code);
        }
    }

    /// The body came to its end; a gRPC answer has said how in its trailers.
    fn ended(&mut self, status: u16) {
        if self.door == Door::Http && self.outcome == Outcome::Cancelled {
            self.outcome = Outcome::Http(status);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let inner = &self.metrics.0;
        let model = Model(self.model.take());
        inner.in_flight.dec();
        inner.seconds.get_or_create(&ModelLabel { model: model.clone() }).observe(self.started.elapsed().as_secs_f64());
        inner.calls.get_or_create(&Labels { model, code: self.outcome }).inc();
        if let (Outcome::Grpc(code), false) = (self.outcome, self.span.is_none()) {
            self.span.record("rpc.grpc.status_code", code);
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer, observed.
    pub struct Observing<F> {
        #[pin]
        inner: F,
        record: Option<Record>,
        request_id: Option<http::HeaderValue>,
    }
}

impl<F, B> Future for Observing<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<Observed<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map_ok(|mut response| {
            if let Some(record) = this.record.as_mut() {
                record.answered(&response);
            }
            if let Some(id) = this.request_id.take() {
                response.headers_mut().insert(X_REQUEST_ID, id);
            }
            let status = response.status().as_u16();
            if let (true, Some(record)) = (response.body().is_end_stream(), this.record.as_mut()) {
                record.ended(status);
            }
            response.map(|body| Observed { body, status, record: this.record.take() })
        })
    }
}

pin_project_lite::pin_project! {
    /// A body whose end is the end of its call.
    pub struct Observed<B> {
        #[pin]
        body: B,
        status: u16,
        record: Option<Record>,
    }
}

impl<B: Body<Data = Bytes>> Body for Observed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = this.body.as_mut().poll_frame(cx);
        if let (Poll::Ready(frame), Some(record)) = (&frame, this.record.as_mut()) {
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => record.trailers(frame.trailers_ref().unwrap_or(&HeaderMap::new())),
                None => record.ended(*this.status),
                Some(Ok(_)) if this.body.is_end_stream() => record.ended(*this.status),
                Some(_) => {}
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
