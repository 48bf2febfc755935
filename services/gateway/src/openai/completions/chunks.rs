//! Texts as they are written: pieces of `text_completion`s.

use std::collections::BTreeMap;

use serde::Serialize;
use torchmesh_api::{
    error::ApiError,
    text::v1::{GenerateResponse, WrittenToken},
};

use super::{Manner, logprobs::Logprobs};
use crate::{
    generation::{
        Refused,
        events::{Form, Written},
    },
    openai::{
        error,
        stamp::Stamp,
        usage::{InChunk, Usage, finish_reason},
    },
};

/// Writes the pieces of one answer.
#[derive(Debug)]
pub(super) struct Chunks {
    stamp: Stamp,
    model: String,
    manner: Manner,
    /// How many characters of each choice have their logarithms told.
    offsets: BTreeMap<u32, usize>,
    usage: Usage,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "InChunk::is_unwanted")]
    usage: InChunk,
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
        Self { stamp, model, manner, offsets: BTreeMap::new(), usage: Usage::default() }
    }

    fn later(&self) -> InChunk {
        if self.manner.usage { InChunk::Later } else { InChunk::Unwanted }
    }

    fn write(&self, choices: &[Choice<'_>], usage: InChunk, written: &mut Written) {
        written.event(&Chunk {
            id: &self.stamp.id,
            object: "text_completion",
            created: self.stamp.created,
            model: &self.model,
            choices,
            usage,
        });
    }

    fn logprobs<'a>(&mut self, index: u32, tokens: &'a [WrittenToken]) -> Option<Logprobs<'a>> {
        let wanted = self.manner.logprobs && !tokens.is_empty();
        wanted.then(|| Logprobs::of(tokens, self.offsets.entry(index).or_default()))
    }
}

impl Form<GenerateResponse> for Chunks {
    fn piece(&mut self, piece: GenerateResponse, written: &mut Written) {
        let finish_reason = finish_reason(piece.finish_reason());
        let GenerateResponse { index, text, tokens, usage, .. } = piece;
        if let Some(usage) = usage {
            self.usage.add(usage);
        }
        let logprobs = self.logprobs(index, &tokens);
        if !text.is_empty() || logprobs.is_some() || finish_reason.is_some() {
            self.write(&[Choice { index, text: &text, logprobs, finish_reason }], self.later(), written);
        }
    }

    fn end(&mut self, written: &mut Written) {
        if self.manner.usage {
            self.write(&[], InChunk::Whole(self.usage), written);
        }
        written.words("[DONE]");
    }

    fn error(&mut self, error: ApiError, written: &mut Written) {
        let Refused { error, param } = error.into();
        written.event(&error::object(&error, param.as_deref()));
    }
}
