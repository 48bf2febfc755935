//! A call that is being metered, from its admission to its event.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use prost::Message as _;
use tonic::Code;
use torchmesh_api::{
    error::ErrorKind,
    headers::GRPC_STATUS,
    usage::v1::{self as pb, UsageEvent},
};
use torchmesh_layers::call::CallContext;
use torchmesh_runtime::server::Peer;
use torchmesh_spool::Ticket;

use super::{Measured, Meter, Units, method};
use crate::{form::Form, identity::Principal};

/// One call. It makes one event: when its end is told, or when it is dropped, which is the caller's leaving.
#[derive(Debug)]
pub(super) struct MeteredCall(Option<Box<Open>>);

/// The id of the event of a call's good end, in the extensions of a request that may be made again though it ended well: its event is counted once. Lines of batches
/// have one, and no other calls: it is how they are told from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnceId(pub [u8; 16]);

#[derive(Debug)]
struct Open {
    once: Option<OnceId>,
    meter: Meter,
    measured: Arc<Measured>,
    principal: Arc<Principal>,
    form: Form,
    verb: http::Method,
    path: http::Uri,
    request_id: HeaderValue,
    trace_id: [u8; 16],
    peer: Option<SocketAddr>,
    started: Instant,
    status: StatusCode,
    code: Option<Code>,
}

impl MeteredCall {
    /// A call of somebody who was let in; others have nothing to pay.
    pub(super) fn begin<R>(meter: &Meter, measured: &Arc<Measured>, request: &Request<R>) -> Self {
        let extensions = request.extensions();
        let Some((principal, call)) = extensions.get::<Arc<Principal>>().zip(extensions.get::<CallContext>()) else { return Self(None) };
        Self(Some(Box::new(Open {
            once: extensions.get().copied(),
            meter: meter.clone(),
            measured: Arc::clone(measured),
            principal: Arc::clone(principal),
            form: Form::of(request.uri(), request.headers()),
            verb: request.method().clone(),
            path: request.uri().clone(),
            request_id: call.request_id(),
            trace_id: call.trace.trace_id,
            peer: extensions.get::<Arc<Peer>>().map(|peer| peer.addr),
            started: call.started,
            status: StatusCode::OK,
            code: None,
        })))
    }

    /// A call that makes no event.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Whether there is anything to be told.
    pub(super) fn is_metered(&self) -> bool {
        self.0.is_some()
    }

    /// What the head of an answer says of how it ends.
    pub(super) fn head<B>(&mut self, response: &Response<B>) {
        let Some(open) = &mut self.0 else { return };
        open.status = response.status();
        open.code = response.extensions().get::<ErrorKind>().map(|kind| kind.code());
        self.trailers(response.headers());
    }

    /// What trailers say of it.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if let (Some(open), Some(status)) = (&mut self.0, trailers.get(GRPC_STATUS)) {
            open.code = Some(Code::from_bytes(status.as_bytes()));
        }
    }

    /// The answer has come to its end. The ticket is done when the event is durable.
    pub(super) fn end(&mut self) -> Option<Ticket> {
        let open = self.0.take()?;
        let code = open.code.or(open.measured.failed()).unwrap_or_else(|| open.without_a_code());
        Some(open.record(code))
    }

    /// The call has ended with an error.
    pub(super) fn fail(&mut self, kind: ErrorKind) -> Option<Ticket> {
        self.0.take().map(|open| open.record(kind.code()))
    }

    /// Whether it may end as if nothing had happened when its event is lost.
    pub(super) fn forgives(&self) -> bool {
        self.0.as_ref().is_none_or(|open| open.meter.forgives())
    }

    /// It makes no event.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for MeteredCall {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            // Nobody is there who could wait for it.
            drop(open.record(Code::Cancelled));
        }
    }
}

impl Open {
    /// How an answer ended that says it by its status alone.
    fn without_a_code(&self) -> Code {
        match self.status.as_u16() {
            200..=399 => Code::Ok,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            405 | 501 => Code::Unimplemented,
            413 | 429 => Code::ResourceExhausted,
            499 => Code::Cancelled,
            400..=499 => Code::InvalidArgument,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            _ => Code::Internal,
        }
    }

    /// By which door it came; a line of a batch, whatever path it names, by the batch.
    fn door(&self) -> pb::Door {
        match self.form {
            _ if self.once.is_some() => pb::Door::Batch,
            Form::Grpc => pb::Door::Grpc,
            Form::OpenAi => pb::Door::Openai,
            Form::Rest => pb::Door::Rest,
            Form::Tei => pb::Door::Tei,
            Form::TorchServe => pb::Door::Torchserve,
        }
    }

    fn record(self: Box<Self>, code: Code) -> Ticket {
        let event = self.event(code, SystemTime::now());
        self.meter.record(&event.encode_to_vec())
    }

    fn event(&self, code: Code, now: SystemTime) -> UsageEvent {
        let time_unix_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let (model, model_version) = match self.measured.answered() {
            Some(answered) => (answered.model.to_string(), answered.version.to_string()),
            None => (self.measured.asked().map(ToString::to_string).unwrap_or_default(), String::new()),
        };
        // Only the end that is paid for: those before it are events of their own.
        let once = self.once.filter(|_| code == Code::Ok).map(|once| once.0);
        UsageEvent {
            id: once.unwrap_or_else(|| torchmesh_ledger::id::new(time_unix_ms, fastrand::u128(..))).to_vec(),
            time_unix_ms,
            tenant: self.principal.tenant.as_str().to_owned(),
            credential: self.principal.credential.to_string(),
            model,
            model_version,
            door: self.door().into(),
            method: method::shown(self.form, &self.verb, self.path.path()),
            code: u32::try_from(i32::from(code)).unwrap_or_default(),
            units: Some(billed(self.measured.units(), code)),
            request_id: self.request_id.to_str().unwrap_or_default().to_owned(),
            trace_id: self.trace_id.to_vec(),
            source_address: self.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            from_cache: self.measured.from_cache() == Some(true),
            duration_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }
}

/// What is to be paid: all of an answer that came to its end; and what was passed on of one that the caller cut, or whose time was up. An error of ours costs nothing.
fn billed(used: Units, code: Code) -> pb::Units {
    let cut = matches!(code, Code::Cancelled | Code::DeadlineExceeded) && used.bytes_out > 0;
    let pays = |figure: u64| if code == Code::Ok || cut { figure } else { 0 };
    pb::Units {
        prompt_tokens: pays(used.prompt_tokens),
        cached_tokens: pays(used.cached_tokens),
        completion_tokens: pays(used.completion_tokens),
        items: pays(used.items),
        audio_ms: pays(used.audio_ms),
        bytes_in: used.bytes_in,
        bytes_out: used.bytes_out,
        compute_us: used.compute_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: Units = Units {
        prompt_tokens: 7,
        cached_tokens: 2,
        completion_tokens: 5,
        items: 1,
        audio_ms: 3,
        bytes_in: 90,
        bytes_out: 40,
        compute_us: 11,
    };

    #[test]
    fn an_error_costs_nothing_and_a_cut_stream_what_was_passed_on() {
        for (code, bytes_out, pays) in [
            (Code::Ok, 40, true),
            (Code::Ok, 0, true),
            (Code::Cancelled, 40, true),
            (Code::Cancelled, 0, false),
            (Code::DeadlineExceeded, 40, true),
            (Code::DeadlineExceeded, 0, false),
            (Code::Internal, 40, false),
            (Code::Unavailable, 40, false),
            (Code::ResourceExhausted, 0, false),
        ] {
            let billed = billed(Units { bytes_out, ..USED }, code);
            let figures = [billed.prompt_tokens, billed.cached_tokens, billed.completion_tokens, billed.items, billed.audio_ms];
            assert_eq!(figures, if pays { [7, 2, 5, 1, 3] } else { [0; 5] }, "{code:?} after {bytes_out} bytes");
            assert_eq!((billed.bytes_in, billed.compute_us), (90, 11), "what was moved and computed is told all the same");
        }
    }
}
