//! The order of the layers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tonic::{body::Body as OwnBody, service::Routes};
use torchmesh_api::error::ApiError;
use torchmesh_layers::{
    errors::{self, Errors},
    observe::{CallMetrics, Observe, Tracing},
    shed::{Capacity, Held, Shed},
};
use torchmesh_runtime::telemetry;
use tower::{Service, ServiceExt as _};

/// The body of every answer.
type Body = Held<OwnBody>;

/// One data thread's service.
pub type Stack = Observe<Errors<Shed<Own>, (), Body>>;

/// The handlers.
#[derive(Debug, Clone)]
pub struct Own(Routes);

impl<B> Service<Request<B>> for Own
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<OwnBody>;
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ApiError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let routes = self.0.clone();
        Box::pin(async move {
            let answered: Result<_, Infallible> = routes.oneshot(request.map(OwnBody::new)).await;
            let Ok(response) = answered;
            Ok(response)
        })
    }
}

/// Puts the layers around the handlers, from the inside out.
pub fn assemble(routes: Routes, metrics: &CallMetrics, capacity: &Capacity) -> Stack {
    // Before anything that costs: hashing a password takes a core for a while.
    let shed = Shed::new(Own(routes), capacity.clone());
    // Around all that can fail: one place where an error becomes an answer. Only gRPC comes here.
    let render: errors::Render<(), Body> = |error: ApiError, ()| errors::grpc(error);
    let answered = Errors::new(shed, |_, _| (), render);
    // Outermost: it sees every call, refused ones too, until the last byte has left.
    Observe::new(answered, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span })
}

fn open_span(trace: &torchmesh_api::trace::TraceContext) -> (tracing::Span, torchmesh_api::trace::TraceContext) {
    let span = torchmesh_runtime::remote_span!(
        trace,
        "accounts.call",
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.grpc.status_code = tracing::field::Empty
    );
    let next = telemetry::outgoing(&span, trace);
    (span, next)
}
