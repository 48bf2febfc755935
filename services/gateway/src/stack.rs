//! The order of the layers.

use axum::body::Body as OwnBody;
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
    limits::{Lanes, Limit, Telling, body::Charged},
    metering::{Meter, body::Going, measuring::Measuring, metered::Metered},
};

/// The body of every answer.
type Body<B> = Metered<Charged<Held<Timed<forward::Body<B>>>>>;

/// One data thread's service; `B` is the body of a request.
pub type Stack<B> = Observe<Telling<Errors<Auth<Measuring<Limit<Shed<Deadline<Forward>>>>>, Form, Body<B>>>>;

/// The layers within the key check, for calls that the gateway makes itself in the name of somebody who was let in before.
pub type Within = Errors<Measuring<Limit<Shed<Deadline<Forward>>>>, Form, Body<OwnBody>>;

/// What a gateway may do beside passing calls on; each absent where it is not set.
#[derive(Debug)]
pub struct Policies<'a> {
    /// The limits, as this thread sees them.
    pub lanes: Option<Lanes>,
    /// Where it is written what calls have used.
    pub meter: Option<&'a Meter>,
}

/// Puts the layers around the innermost service, from the inside out.
pub fn assemble<B>(
    forward: Forward,
    identity: &Identity,
    policies: Policies<'_>,
    metrics: &CallMetrics,
    capacity: &Capacity,
    allowance: Allowance,
) -> Stack<B> {
    let is_limited = policies.lanes.is_some();
    let measured = measured(forward, policies, capacity, allowance);
    // Before anything reads the body: an unknown caller's bytes are never looked at.
    let known = Auth::new(measured, identity.clone());
    // Around all that can fail: one place where an error becomes an answer, in the form that the caller's door speaks.
    let answered = Errors::new(known, Form::of, render);
    // Outside of that, so that refusals tell how the limits stand, too.
    let telling = Telling::new(answered, is_limited);
    // Outermost: it sees every call, refused ones too, until the last byte has left.
    Observe::new(telling, metrics.clone(), Tracing { sample: telemetry::sample, open: open_span }).telling_the_request_id()
}

/// See [`Within`]. A request has its `Principal` and its `CallContext` in its extensions already.
pub fn within(forward: Forward, policies: Policies<'_>, capacity: &Capacity, allowance: Allowance) -> Within {
    Errors::new(measured(forward, policies, capacity, allowance), Form::of, render)
}

fn measured(
    forward: Forward,
    policies: Policies<'_>,
    capacity: &Capacity,
    allowance: Allowance,
) -> Measuring<Limit<Shed<Deadline<Forward>>>> {
    // Innermost, so that a call that was refused needs no timer.
    let timed = Deadline::new(forward, allowance);
    // Behind the key check: whoever has no key must not be able to fill the gateway's places.
    let shed = Shed::new(timed, capacity.clone());
    // Around the places: whoever may not call takes none.
    let limited = Limit::new(shed, policies.lanes);
    // Around all that uses anything or asks what was used, refusals included, and behind the key check: nobody pays for a call that was not let in.
    Measuring::new(limited, policies.meter.cloned())
}

fn render<B>(error: ApiError, form: Form) -> Response<Body<B>> {
    match form {
        Form::Grpc => errors::grpc(error),
        http => http.render(&error).map(|body| Metered::from(Charged::from(Held::from(Timed::from(Going::from(Answer::Own(body))))))),
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
