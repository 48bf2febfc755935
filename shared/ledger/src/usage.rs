//! What a call has used, as one line of JSON.
//!
//! Lines may come twice, after a process was killed: those with the same `id` are one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tonic::Code;
use torchmesh_api::usage::v1::{Door, UsageEvent};

use crate::time::rfc3339;

/// A line. The field names are what readers go by, and stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.usage.v1.UsageEvent`, which says what they are")]
pub struct Line<'a> {
    pub id: Cow<'a, str>,
    pub time: Cow<'a, str>,
    pub tenant: Cow<'a, str>,
    pub credential: Cow<'a, str>,
    pub model: Cow<'a, str>,
    pub version: Cow<'a, str>,
    pub door: Cow<'a, str>,
    pub method: Cow<'a, str>,
    pub code: Cow<'a, str>,
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
    pub completion_tokens: u64,
    pub items: u64,
    pub audio_ms: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub compute_us: u64,
    pub request_id: Cow<'a, str>,
    pub trace_id: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub duration_us: u64,
    #[serde(default)]
    pub from_cache: bool,
}

impl<'a> Line<'a> {
    /// The line of an event.
    pub fn of(event: &'a UsageEvent) -> Self {
        let units = event.units.unwrap_or_default();
        Self {
            id: uuid(&event.id).into(),
            time: rfc3339(event.time_unix_ms).into(),
            tenant: event.tenant.as_str().into(),
            credential: event.credential.as_str().into(),
            model: event.model.as_str().into(),
            version: event.model_version.as_str().into(),
            door: door(event.door()).into(),
            method: event.method.as_str().into(),
            code: code(event.code).into(),
            prompt_tokens: units.prompt_tokens,
            cached_tokens: units.cached_tokens,
            completion_tokens: units.completion_tokens,
            items: units.items,
            audio_ms: units.audio_ms,
            bytes_in: units.bytes_in,
            bytes_out: units.bytes_out,
            compute_us: units.compute_us,
            request_id: event.request_id.as_str().into(),
            trace_id: hex(&event.trace_id).into(),
            source: event.source_address.as_str().into(),
            duration_us: event.duration_us,
            from_cache: event.from_cache,
        }
    }
}

/// The name of a gRPC code, as its specification writes it.
pub fn code(code: u32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(code as usize).copied().unwrap_or(NAMES[Code::Unknown as usize])
}

fn door(door: Door) -> &'static str {
    match door {
        Door::Unspecified => "",
        Door::Grpc => "grpc",
        Door::Openai => "openai",
        Door::Rest => "rest",
        Door::Tei => "tei",
        Door::Torchserve => "torchserve",
        Door::Batch => "batch",
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The 16 bytes of a UUID in its form; other bytes as they are, in hexadecimal.
pub fn uuid(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    if digits.len() != 32 {
        return digits;
    }
    let part = |range: std::ops::Range<usize>| &digits[range];
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

#[cfg(test)]
mod tests {
    use torchmesh_api::usage::v1::Units;

    use super::*;

    #[test]
    fn an_event_is_one_line_and_reads_back() {
        let units = Units { prompt_tokens: 3, ..Units::default() };
        let event = UsageEvent {
            id: (0..16).collect(),
            tenant: "acme".into(),
            code: 1,
            door: Door::Rest.into(),
            units: Some(units),
            ..Default::default()
        };
        let line = Line::of(&event);
        let text = serde_json::to_string(&line).unwrap();
        assert!(
            text.starts_with(r#"{"id":"00010203-0405-0607-0809-0a0b0c0d0e0f","time":"1970-01-01T00:00:00.000Z","tenant":"acme""#),
            "{text}"
        );
        assert!(text.contains(r#""door":"rest""#) && text.contains(r#""code":"CANCELLED""#) && !text.contains('\n'), "{text}");
        assert_eq!(serde_json::from_str::<Line<'_>>(&text).unwrap(), line);
    }
}
