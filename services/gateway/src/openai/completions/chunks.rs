//! Texts as they are written: pieces of `text_completion`s.

use std::collections::BTreeMap;

use serde::Serialize;
use torchmesh_api::{
    error::ApiError,
    text::v1::{GenerateResponse, WrittenToken},
};

use super::{Manner, logprobs::Logprobs};
use crate::{
    generation::events::{Form, Written},
    openai::{
        stamp::Stamp,
        stream::{self, Stream},
        usage::finish_reason,
    },
};

/// Writes the pieces of one answer.
#[derive(Debug)]
pub(super) struct Chunks {
    stream: Stream,
    /// Whether the logarithms of tokens are told.
    logprobs: bool,
    /// How many characters of each choice have their logarithms told.
    offsets: BTreeMap<u32, usize>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    text: &'a str,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

impl Chunks {
    /// `model` is what is told as the answer's.
    pub(super) fn new(stamp: Stamp, model: String, manner: Manner) -> Self {
        let stream = Stream::new(stamp, "text_completion", model, manner.usage);
        Self { stream, logprobs: manner.logprobs, offsets: BTreeMap::new() }
    }

    fn logprobs<'a>(&mut self, index: u32, tokens: &'a [WrittenToken]) -> Option<Logprobs<'a>> {
        let wanted = self.logprobs && !tokens.is_empty();
        wanted.then(|| Logprobs::of(tokens, self.offsets.entry(index).or_default()))
    }
}

impl Form<GenerateResponse> for Chunks {
    fn piece(&mut self, piece: GenerateResponse, written: &mut Written) {
        let finish_reason = finish_reason(piece.finish_reason());
        let GenerateResponse { index, text, tokens, usage, .. } = piece;
        self.stream.count(usage);
        let logprobs = self.logprobs(index, &tokens);
        if !text.is_empty() || logprobs.is_some() || finish_reason.is_some() {
            self.stream.choice(Choice { index, text: &text, logprobs, finish_reason }, written);
        }
    }

    fn end(&mut self, written: &mut Written) {
        self.stream.end(written);
    }

    fn error(&mut self, error: ApiError, written: &mut Written) {
        stream::failed(error, written);
    }
}
