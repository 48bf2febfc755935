//! The order of the layers.

use http::Response;
use torchmesh_api::{error::ApiError, trace::TraceContext};
use torchmesh_layers::{
    deadline::{Allowance, Deadline, Timed},
    errors::{self, Errors},
    observe::{CallMetrics, Observe, Tracing},
    shed::{Capacity, Held, Shed},
};
use torchmesh_relay::Answer;
use torchmesh_runtime::telemetry;

use crate::{
    form::Form,
    forward::{self, Forward},
    identity::{Auth, Identity},
    metering::{Meter, body::Going, measuring::Measuring, metered::Metered},
};

/// The body of every answer.
type Body<B> = Metered<Held<Timed<forward::Body<B>>>>;

/// One data thread's service; `B` is the body of a request.
pub type Stack<B> = Observe<Errors<Auth<Measuring<Shed<Deadline<Forward>>>>, Form, Body<B>>>;

/// Puts the layers around the innermost service, from the inside out.
pub fn assemble<B>(
    forward: Forward,
    identity: &Identity,
    meter: Option<&Meter>,
    metrics: &CallMetrics,
    capacity: &Capacity,
    allowance: Allowance,
) -> Stack<B> {
    // Innermost, so that a call that was refused needs no timer.
    let timed = Deadline::new(forward, allowance);
    // Behind the key check: whoever has no key must not be able to fill the gateway's places.
    let shed = Shed::new(timed, capacity.clone());
    // Around all that uses anything or asks what was used, refusals included, and behind the key check: nobody pays for a call that was not let in.
    let measured = Measuring::new(shed, meter.cloned());
    // Before anything reads the body: an unknown caller's bytes are never looked at.
    let known = Auth::new(measured, identity.clone());
    // Around all that can fail: one place where an error becomes an answer, in the form that the caller's door speaks.
    let answered = Errors::new(known, Form::of, render);
    // Outermost: it sees every call, refused ones too, until the last byte has left.
    Observe::new(answered, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span }).telling_the_request_id()
}

fn render<B>(error: ApiError, form: Form) -> Response<Body<B>> {
    match form {
        Form::Grpc => errors::grpc(error),
        http => http.render(&error).map(|body| Metered::from(Held::from(Timed::from(Going::from(Answer::Own(body)))))),
    }
}

fn open_span(trace: &TraceContext) -> (tracing::Span, TraceContext) {
    let span = torchmesh_runtime::remote_span!(
        trace,
        "gateway.call",
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.grpc.status_code = tracing::field::Empty
    );
    let next = telemetry::outgoing(&span, trace);
    (span, next)
}
