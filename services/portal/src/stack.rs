//! The order of the layers.

use axum::Router;
use torchmesh_api::trace::TraceContext;
use torchmesh_layers::observe::{CallMetrics, Observe, Tracing};
use torchmesh_runtime::telemetry;

/// One data thread's service.
pub type Stack = Observe<Router>;

/// Puts the layer around the pages: it sees every request until the last byte has left.
pub fn assemble(router: Router, metrics: &CallMetrics) -> Stack {
    Observe::new(router, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span }).telling_the_request_id()
}

fn open_span(trace: &TraceContext) -> (tracing::Span, TraceContext) {
    let span = torchmesh_runtime::remote_span!(trace, "portal.request", otel.kind = "server", rpc.grpc.status_code = tracing::field::Empty);
    let next = telemetry::outgoing(&span, trace);
    (span, next)
}
