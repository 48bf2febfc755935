//! What the fuzz target of redaction holds it to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::borrow::Cow;

use prost::Message as _;
use torchmesh_api::text::v1::ChatRequest;

use super::{find::Finder, kind::Kind, names::Names, replace::Redactor, shape, wire::Rewriting};

fn redactor() -> Redactor {
    Redactor::new(Kind::ALL.into_iter().collect(), Names::default())
}

/// A text: values are in order, what was redacted has nothing more to redact, and JSON stays JSON. A message: whatever is passed on of it, a decoder reads, and has
/// no value any more.
pub fn redaction(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let ends = Finder::new(text, Kind::ALL.into_iter().collect()).fold(0, |last, found| {
            assert!(last <= found.range.start && found.range.start < found.range.end, "{found:?} behind {last}");
            found.range.end
        });
        assert!(text.is_char_boundary(ends));
        let once = redactor().text(text).into_owned();
        assert!(matches!(redactor().text(&once), Cow::Borrowed(_)), "{once:?} is redacted again");
        let json = redactor().json(text).into_owned();
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_err() || serde_json::from_str::<serde_json::Value>(&json).is_ok(),
            "{json:?} is no JSON"
        );
    }
    conversation(bytes);
}

fn conversation(bytes: &[u8]) {
    let shape = shape::of("/torchmesh.text.v1.GenerationService/Chat").expect("it is a method of text");
    let mut redactor = redactor();
    let Ok(written) = (Rewriting { redactor: &mut redactor, refuses: false }).request(bytes, shape) else { return };
    let Some(written) = written else { return };
    assert_eq!(ChatRequest::decode(bytes).is_ok(), ChatRequest::decode(&*written).is_ok(), "a decoder takes one of the two");
    let again = Rewriting { redactor: &mut redactor, refuses: true }.request(&written, shape);
    assert_eq!(again, Ok(None), "something is left");
}
