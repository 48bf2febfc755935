//! The tokens of a message with their logarithms.

use std::borrow::Cow;

use serde::Serialize;
use torchmesh_api::text::v1::{LikelyToken, WrittenToken};

/// Stands for a probability of 0, whose logarithm JSON cannot write.
const IMPOSSIBLE: f32 = -9999.0;

/// `logprobs` of a choice.
#[derive(Debug, Serialize)]
pub(super) struct Logprobs<'a> {
    content: Vec<Token<'a>>,
    /// No refusals are told apart from other texts.
    refusal: Option<()>,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "OpenAI's names")]
struct Token<'a> {
    token: Cow<'a, str>,
    bytes: &'a [u8],
    logprob: f32,
    top_logprobs: Vec<Likely<'a>>,
}

#[derive(Debug, Serialize)]
struct Likely<'a> {
    token: Cow<'a, str>,
    bytes: &'a [u8],
    logprob: f32,
}

impl<'a> Logprobs<'a> {
    pub(super) fn of(tokens: &'a [WrittenToken]) -> Self {
        let likely =
            |one: &'a LikelyToken| Likely { token: String::from_utf8_lossy(&one.bytes), bytes: &one.bytes, logprob: finite(one.logprob) };
        let token = |one: &'a WrittenToken| Token {
            token: String::from_utf8_lossy(&one.bytes),
            bytes: &one.bytes,
            logprob: one.logprob.map_or(IMPOSSIBLE, finite),
            top_logprobs: one.likeliest.iter().map(likely).collect(),
        };
        Self { content: tokens.iter().map(token).collect(), refusal: None }
    }
}

/// A logarithm that JSON can write.
pub(in crate::openai) fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { IMPOSSIBLE }
}
