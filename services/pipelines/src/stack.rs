//! What a call passes before its handler, in this order: its trace and metrics, its errors, load shedding, its deadline.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tonic::{body::Body, service::Routes};
use torchmesh_api::{error::ApiError, inference::grpc_inference_service_server::GrpcInferenceServiceServer};
use torchmesh_layers::{
    deadline::{Allowance, Deadline, Timed},
    errors::{self, Errors},
    observe::{CallMetrics, Observe, Tracing},
    shed::{Capacity, Held, Shed},
};
use torchmesh_runtime::telemetry;
use tower::Service;

use crate::handlers::Inference;

/// The body of every answer.
type Answered = Held<Timed<Body>>;

/// One data thread's service.
pub type Stack = Observe<Errors<Shed<Deadline<Doors>>, (), Answered>>;

/// Puts the layers around the handlers, from the inside out.
pub fn assemble(doors: Doors, metrics: &CallMetrics, capacity: &Capacity, allowance: Allowance) -> Stack {
    // Innermost, so that a call that was refused needs no timer.
    let timed = Deadline::new(doors, allowance);
    // Before anything that costs: a process with too much to do says so in microseconds.
    let shed = Shed::new(timed, capacity.clone());
    // Around all that can fail: one place where an error becomes an answer. Only gRPC comes here.
    let render: errors::Render<(), Answered> = |error: ApiError, ()| errors::grpc(error);
    let answered = Errors::new(shed, |_, _| (), render);
    // Outermost: it sees every call, refused ones too, until the last byte has left.
    Observe::new(answered, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span })
}

fn open_span(trace: &torchmesh_api::trace::TraceContext) -> (tracing::Span, torchmesh_api::trace::TraceContext) {
    let span = torchmesh_runtime::remote_span!(
        trace,
        "pipelines.call",
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.grpc.status_code = tracing::field::Empty
    );
    let next = telemetry::outgoing(&span, trace);
    (span, next)
}

/// The protocol's calls, and beside them health and reflection.
#[derive(Debug, Clone)]
pub struct Doors {
    inference: GrpcInferenceServiceServer<Inference>,
    other: Routes,
}

impl Doors {
    /// Joins them. A message longer than `max_message` bytes is refused.
    pub fn new(inference: Inference, other: Routes, max_message: usize) -> Self {
        Self { inference: GrpcInferenceServiceServer::new(inference).max_decoding_message_size(max_message), other: other.prepare() }
    }
}

impl<B> Service<Request<B>> for Doors
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, ApiError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let never = |answered: Result<Response<Body>, Infallible>| answered.map_err(|never| match never {});
        if request.uri().path().starts_with("/inference.GRPCInferenceService/") {
            let answer = self.inference.call(request);
            Box::pin(async move { never(answer.await) })
        } else {
            let answer = self.other.call(request);
            Box::pin(async move { never(answer.await) })
        }
    }
}
