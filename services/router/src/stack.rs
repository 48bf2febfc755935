//! The order of the layers.

use torchmesh_api::error::ApiError;
use torchmesh_layers::{
    deadline::{Allowance, Deadline, Timed},
    errors::{self, Errors},
    observe::{CallMetrics, Observe, Tracing},
    shed::{Capacity, Held, Shed},
};
use torchmesh_relay::Answer;
use torchmesh_runtime::telemetry;

use crate::{forward::Forward, witnessed::Witnessed};

/// The body of every answer.
type Body<B> = Held<Timed<Witnessed<Answer<B, tonic::body::Body>>>>;

/// One data thread's service; `B` is the body of a request.
pub type Stack<B> = Observe<Errors<Shed<Deadline<Forward>>, (), Body<B>>>;

/// Puts the layers around the innermost service, from the inside out.
pub fn assemble<B>(forward: Forward, metrics: &CallMetrics, capacity: &Capacity, allowance: Allowance) -> Stack<B> {
    // Innermost, so that a call that was refused needs no timer.
    let timed = Deadline::new(forward, allowance);
    // Before anything that costs: a router with too much to do says so in microseconds.
    let shed = Shed::new(timed, capacity.clone());
    // Around all that can fail: one place where an error becomes an answer. Only gRPC comes here, whatever the content type says.
    let render: errors::Render<(), Body<B>> = |error: ApiError, ()| errors::grpc(error);
    let answered = Errors::new(shed, |_, _| (), render);
    // Outermost: it sees every call, refused ones too, until the last byte has left.
    Observe::new(answered, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span })
}

fn open_span(trace: &torchmesh_api::trace::TraceContext) -> (tracing::Span, torchmesh_api::trace::TraceContext) {
    let span = torchmesh_runtime::remote_span!(
        trace,
        "router.call",
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.grpc.status_code = tracing::field::Empty
    );
    let next = telemetry::outgoing(&span, trace);
    (span, next)
}
