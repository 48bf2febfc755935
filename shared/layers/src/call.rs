//! What every layer may know of the call it is part of.

use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use torchmesh_api::{
    headers::{TRACEPARENT, X_REQUEST_ID, X_TORCHMESH_PRIORITY, X_TORCHMESH_TENANT},
    ids::ModelName,
    trace::TraceContext,
};

/// The longest request id that is taken from a caller, in bytes; a longer one is replaced.
const MAX_REQUEST_ID: usize = 128;

/// One call, in the extensions of its request.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// When its headers arrived.
    pub started: Instant,
    /// Its trace, and the span that the next hop is a child of.
    pub trace: TraceContext,
    /// The caller's own id for it, where it sent one.
    pub told_id: Option<HeaderValue>,
    /// When its time is up.
    pub deadline: Option<Instant>,
    /// Whose call it is, where a layer has established that.
    pub tenant: Option<HeaderValue>,
    /// How urgent the caller says it is.
    pub priority: Option<HeaderValue>,
}

impl CallContext {
    /// Reads the trace and the id from the headers, or begins new ones; `sample` decides from a random number whether a new trace is recorded.
    pub fn read(headers: &HeaderMap, started: Instant, sample: fn(u64) -> bool) -> Self {
        let told = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes()));
        let trace = told.unwrap_or_else(|| new_trace(sample));
        let told_id = headers.get(X_REQUEST_ID).filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len())).cloned();
        Self { started, trace, told_id, deadline: None, tenant: None, priority: headers.get(X_TORCHMESH_PRIORITY).cloned() }
    }

    /// The call's id: the caller's own, or the trace id.
    pub fn request_id(&self) -> HeaderValue {
        self.told_id.clone().unwrap_or_else(|| hidden_from_compression(self.trace.trace_id_hex()))
    }

    /// Puts the trace, the caller's own id, the tenant and the priority into the headers for the next hop. An id that is the trace's is not sent
    /// twice; a tenant that no layer has established is left as it is.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, hidden_from_compression(self.trace.format()));
        match &self.told_id {
            Some(id) => headers.insert(X_REQUEST_ID, id.clone()),
            None => headers.remove(X_REQUEST_ID),
        };
        for (name, value) in [(X_TORCHMESH_TENANT, &self.tenant), (X_TORCHMESH_PRIORITY, &self.priority)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// The model that a call went to, in the extensions of its response.
#[derive(Debug, Clone)]
pub struct ServedModel(pub ModelName);

fn new_trace(sample: fn(u64) -> bool) -> TraceContext {
    let id = fastrand::u128(1..);
    TraceContext { trace_id: id.to_be_bytes(), span_id: fastrand::u64(1..).to_be_bytes(), sampled: sample(fastrand::u64(..)) }
}

/// A value that is never the same twice only pushes others out of HTTP/2's table: "sensitive" keeps it out of there.
fn hidden_from_compression(text: String) -> HeaderValue {
    // Hexadecimal digits and dashes are always a valid value.
    let mut value = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_callers_trace_and_id_are_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(TRACE));
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("mine"));
        let call = CallContext::read(&headers, Instant::now(), |_| false);
        assert_eq!(call.trace.format(), TRACE);
        assert_eq!(call.request_id(), "mine");
    }

    #[test]
    fn a_call_without_a_trace_gets_one_and_its_id_is_the_traces() {
        let call = CallContext::read(&HeaderMap::new(), Instant::now(), |_| true);
        assert!(call.trace.sampled);
        assert_eq!(call.request_id().to_str().unwrap(), call.trace.trace_id_hex());
        let mut next = HeaderMap::new();
        call.write(&mut next);
        assert_eq!(CallContext::read(&next, Instant::now(), |_| false).trace, call.trace);
    }

    #[test]
    fn whose_call_it_is_and_how_urgent_goes_to_the_next_hop() {
        let headers = HeaderMap::from_iter([(X_TORCHMESH_PRIORITY, HeaderValue::from_static("low"))]);
        let mut call = CallContext::read(&headers, Instant::now(), |_| false);
        call.tenant = Some(HeaderValue::from_static("acme"));
        let mut next = HeaderMap::new();
        call.write(&mut next);
        assert_eq!((next[X_TORCHMESH_TENANT].as_bytes(), next[X_TORCHMESH_PRIORITY].as_bytes()), (&b"acme"[..], &b"low"[..]));
    }

    #[test]
    fn an_endless_request_id_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::try_from("x".repeat(500)).unwrap());
        assert_eq!(CallContext::read(&headers, Instant::now(), |_| false).request_id().len(), 32);
    }
}
