//! `usage`: what was read and written, in tokens; and the names of why an answer ended.

use serde::{Deserialize, Serialize};
use torchmesh_api::text::v1::{FinishReason, Usage as Told};

/// In OpenAI's form.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Prompt,
    completion_tokens_details: Completion,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Prompt {
    cached_tokens: u64,
    audio_tokens: u64,
}

/// Kinds of tokens that no model here tells apart from others.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "OpenAI's names")]
struct Completion {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    /// Adds what one call says.
    pub(super) fn add(&mut self, told: Told) {
        let [prompt, cached, written] = [told.prompt_tokens, told.cached_tokens, told.completion_tokens].map(u64::from);
        self.prompt_tokens += prompt;
        self.completion_tokens += written;
        self.total_tokens += prompt + written;
        self.prompt_tokens_details.cached_tokens += cached;
    }
}

/// The usage in a piece of a stream.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum InChunk {
    /// It is not wanted: there is no such field.
    Unwanted,
    /// It comes with the last piece: null.
    Later,
    /// This is the last piece.
    Whole(Usage),
}

impl InChunk {
    pub(super) fn is_unwanted(&self) -> bool {
        matches!(self, Self::Unwanted)
    }
}

/// `stream_options`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
}

impl StreamOptions {
    /// Whether the usage is wanted at the end of a stream.
    pub(super) fn usage(options: Option<&Self>) -> bool {
        options.and_then(|options| options.include_usage).unwrap_or_default()
    }
}

/// Why an answer ended; `None` as long as it has not.
pub(super) fn finish_reason(reason: FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Unspecified => None,
        FinishReason::Stop => Some("stop"),
        FinishReason::Length => Some("length"),
        FinishReason::ToolCalls => Some("tool_calls"),
    }
}
