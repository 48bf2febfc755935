//! A message that is told when all of it is written: a `chat.completion`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use torchmesh_api::text::v1::{ChatResponse, ToolCallPiece, WrittenToken};

use super::{Manner, logprobs::Logprobs};
use crate::openai::{
    stamp::Stamp,
    usage::{Usage, finish_reason},
};

/// Gathers the pieces of one answer.
#[derive(Debug)]
pub(super) struct Whole {
    stamp: Stamp,
    manner: Manner,
    model: String,
    choices: BTreeMap<u32, Choice>,
    usage: Usage,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    id: String,
    object: &'static str,
    created: u64,
    pub(super) model: String,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Debug, Default, Serialize)]
struct Choice {
    index: u32,
    message: Message,
    #[serde(serialize_with = "with_logarithms")]
    logprobs: Option<Vec<WrittenToken>>,
    finish_reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Message {
    role: &'static str,
    /// Null of a message that is nothing but calls.
    content: Option<String>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
}

impl Default for Message {
    fn default() -> Self {
        Self { role: "assistant", content: Some(String::new()), refusal: None, tool_calls: Vec::new() }
    }
}

#[derive(Debug, Default, Serialize)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Debug, Default, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
fn with_logarithms<S: Serializer>(tokens: &Option<Vec<WrittenToken>>, serializer: S) -> Result<S::Ok, S::Error> {
    tokens.as_deref().map(Logprobs::of).serialize(serializer)
}

impl Whole {
    pub(super) fn new(stamp: Stamp, manner: Manner) -> Self {
        Self { stamp, manner, model: String::new(), choices: BTreeMap::new(), usage: Usage::default() }
    }

    pub(super) fn add(&mut self, piece: ChatResponse) {
        let reason = finish_reason(piece.finish_reason());
        let ChatResponse { model, index, content, tool_calls, tokens, usage, .. } = piece;
        if self.model.is_empty() {
            self.model = model;
        }
        if let Some(usage) = usage {
            self.usage.add(usage);
            if content.is_empty() && tool_calls.is_empty() && tokens.is_empty() && reason.is_none() {
                return;
            }
        }
        let choice = self.choices.entry(index).or_default();
        choice.index = index;
        choice.message.content.get_or_insert_default().push_str(&content);
        for piece in &tool_calls {
            choice.message.add(piece);
        }
        if self.manner.logprobs {
            choice.logprobs.get_or_insert_default().extend(tokens);
        }
        choice.finish_reason = reason.or(choice.finish_reason);
    }

    pub(super) fn end(self) -> Answer {
        let mut choices: Vec<_> = self.choices.into_values().collect();
        for Choice { message, .. } in &mut choices {
            message.content.take_if(|content| content.is_empty() && !message.tool_calls.is_empty());
        }
        let Stamp { id, created } = self.stamp;
        Answer { id, object: "chat.completion", created, model: self.model, choices, usage: self.usage }
    }
}

impl Message {
    /// A piece of a call; calls begin in their order.
    fn add(&mut self, piece: &ToolCallPiece) {
        let at = (piece.index as usize).min(self.tool_calls.len());
        if at == self.tool_calls.len() {
            self.tool_calls.push(Call { kind: "function", ..Default::default() });
        }
        let call = &mut self.tool_calls[at];
        call.id.push_str(&piece.id);
        call.function.name.push_str(&piece.name);
        call.function.arguments.push_str(&piece.arguments);
    }
}
