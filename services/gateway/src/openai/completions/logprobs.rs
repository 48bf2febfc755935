//! The tokens of a text with their logarithms, in the older form: lists side by side.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;
use torchmesh_api::text::v1::WrittenToken;

use crate::openai::chat::finite;

/// `logprobs` of a choice.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "OpenAI's names")]
pub(super) struct Logprobs<'a> {
    tokens: Vec<Cow<'a, str>>,
    /// None of the first token of a prompt.
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<BTreeMap<Cow<'a, str>, f32>>>,
    /// Where each begins, in characters.
    text_offset: Vec<usize>,
}

impl<'a> Logprobs<'a> {
    /// Of tokens in front of which there are `offset` characters, which is moved behind them.
    pub(super) fn of(tokens: &'a [WrittenToken], offset: &mut usize) -> Self {
        let likeliest = |token: &'a WrittenToken| {
            let all = token.likeliest.iter().map(|likely| (String::from_utf8_lossy(&likely.bytes), finite(likely.logprob)));
            token.logprob.map(|_| all.collect())
        };
        let place = |token: &WrittenToken| {
            let begins = *offset;
            *offset += characters(&token.bytes);
            begins
        };
        Self {
            tokens: tokens.iter().map(|token| String::from_utf8_lossy(&token.bytes)).collect(),
            token_logprobs: tokens.iter().map(|token| token.logprob.map(finite)).collect(),
            top_logprobs: tokens.iter().map(likeliest).collect(),
            text_offset: tokens.iter().map(place).collect(),
        }
    }
}

/// How many characters begin in these bytes: one may be spread over several tokens.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count()
}
