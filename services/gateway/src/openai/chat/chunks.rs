//! A message as it is written: `chat.completion.chunk`s.

use std::collections::BTreeSet;

use serde::Serialize;
use torchmesh_api::{
    error::ApiError,
    text::v1::{ChatResponse, ToolCallPiece},
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

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(super) struct Chunks {
    stream: Stream,
    /// Whether the logarithms of tokens are told.
    logprobs: bool,
    /// The choices that have said who speaks.
    begun: BTreeSet<u32>,
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
        let stream = Stream::new(stamp, "chat.completion.chunk", model, manner.usage);
        Self { stream, logprobs: manner.logprobs, begun: BTreeSet::new() }
    }
}

impl Form<ChatResponse> for Chunks {
    fn piece(&mut self, piece: ChatResponse, written: &mut Written) {
        let finish_reason = finish_reason(piece.finish_reason());
        let ChatResponse { index, content, tool_calls, tokens, usage, .. } = piece;
        self.stream.count(usage);
        let logprobs = self.logprobs && !tokens.is_empty();
        if content.is_empty() && tool_calls.is_empty() && !logprobs && finish_reason.is_none() {
            return;
        }
        if self.begun.insert(index) {
            let content = if content.is_empty() && !tool_calls.is_empty() { None } else { Some("") };
            let delta = Delta { role: Some("assistant"), content: Some(Content(content)), tool_calls: Vec::new() };
            self.stream.choice(Choice { index, delta, logprobs: None, finish_reason: None }, written);
        }
        let delta = Delta {
            role: None,
            content: (!content.is_empty()).then_some(Content(Some(&content))),
            tool_calls: tool_calls.iter().map(Call::of).collect(),
        };
        let logprobs = logprobs.then(|| Logprobs::of(&tokens));
        self.stream.choice(Choice { index, delta, logprobs, finish_reason }, written);
    }

    fn end(&mut self, written: &mut Written) {
        self.stream.end(written);
    }

    fn error(&mut self, error: ApiError, written: &mut Written) {
        stream::failed(error, written);
    }
}
