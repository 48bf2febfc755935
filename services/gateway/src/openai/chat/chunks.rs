//! A message as it is written: `chat.completion.chunk`s.

use std::collections::BTreeSet;

use serde::Serialize;
use torchmesh_api::{
    error::ApiError,
    text::v1::{ChatResponse, ToolCallPiece},
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

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(super) struct Chunks {
    stamp: Stamp,
    model: String,
    manner: Manner,
    /// The choices that have said who speaks.
    begun: BTreeSet<u32>,
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
    delta: Delta<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Null at the beginning of a message that is nothing but calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Content<'a>(Option<&'a str>);

#[derive(Serialize)]
struct Call<'a> {
    index: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    arguments: &'a str,
}

impl<'a> Call<'a> {
    fn of(piece: &'a ToolCallPiece) -> Self {
        let ToolCallPiece { index, id, name, arguments } = piece;
        let kind = (!name.is_empty()).then_some("function");
        Self { index: *index, id, kind, function: Function { name, arguments } }
    }
}

impl Chunks {
    /// `model` is what is told as the answer's.
    pub(super) fn new(stamp: Stamp, model: String, manner: Manner) -> Self {
        Self { stamp, model, manner, begun: BTreeSet::new(), usage: Usage::default() }
    }

    fn later(&self) -> InChunk {
        if self.manner.usage { InChunk::Later } else { InChunk::Unwanted }
    }

    fn write(&self, choices: &[Choice<'_>], usage: InChunk, written: &mut Written) {
        written.event(&Chunk {
            id: &self.stamp.id,
            object: "chat.completion.chunk",
            created: self.stamp.created,
            model: &self.model,
            choices,
            usage,
        });
    }
}

impl Form<ChatResponse> for Chunks {
    fn piece(&mut self, piece: ChatResponse, written: &mut Written) {
        let finish_reason = finish_reason(piece.finish_reason());
        let ChatResponse { index, content, tool_calls, tokens, usage, .. } = piece;
        if let Some(usage) = usage {
            self.usage.add(usage);
        }
        let logprobs = self.manner.logprobs && !tokens.is_empty();
        if content.is_empty() && tool_calls.is_empty() && !logprobs && finish_reason.is_none() {
            return;
        }
        if self.begun.insert(index) {
            let content = if content.is_empty() && !tool_calls.is_empty() { None } else { Some("") };
            let delta = Delta { role: Some("assistant"), content: Some(Content(content)), tool_calls: Vec::new() };
            self.write(&[Choice { index, delta, logprobs: None, finish_reason: None }], self.later(), written);
        }
        let delta = Delta {
            role: None,
            content: (!content.is_empty()).then_some(Content(Some(&content))),
            tool_calls: tool_calls.iter().map(Call::of).collect(),
        };
        let logprobs = logprobs.then(|| Logprobs::of(&tokens));
        self.write(&[Choice { index, delta, logprobs, finish_reason }], self.later(), written);
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
