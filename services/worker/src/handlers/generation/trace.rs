//! The span of an answer, in the words of OpenTelemetry's conventions for generative AI (semantic conventions 1.37, "Spans for generative AI").

use torchmesh_api::text::v1::{FinishReason, Usage};
use torchmesh_runtime::telemetry::{SPAN_TARGET, set_texts};
use tracing::{Span, field::Empty};

use super::{CallInfo, settings::Wishes};
use crate::models::Model;

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    /// The next message of a conversation.
    Chat,
    /// How a text goes on.
    TextCompletion,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::TextCompletion => "text_completion",
        }
    }
}

/// The span. It ends when this is dropped; without [`Trace::end`] the caller has left, or something failed.
#[derive(Debug)]
pub(super) struct Trace {
    span: Span,
    reasons: Vec<&'static str>,
    ended: bool,
}

impl Trace {
    /// Begins it, as a part of the call. Costs nothing where the call is not recorded.
    pub(super) fn begin(operation: Operation, model: &Model, info: &CallInfo, wishes: &Wishes) -> Self {
        let span = if info.span.is_none() { Span::none() } else { begin(operation.name(), model.name.as_str(), &info.span, wishes) };
        Self { span, reasons: Vec::new(), ended: false }
    }

    /// One answer of those that were asked for is complete.
    pub(super) fn answered(&mut self, reason: FinishReason) {
        if !self.span.is_none() {
            self.reasons.push(match reason {
                FinishReason::Length => "length",
                FinishReason::ToolCalls => "tool_calls",
                _ => "stop",
            });
        }
    }

    /// All are.
    pub(super) fn end(mut self, usage: &Usage) {
        self.ended = true;
        if self.span.is_none() {
            return;
        }
        // A number that is not signed becomes a text on its way to the exporter.
        self.span.record("gen_ai.usage.input_tokens", i64::from(usage.prompt_tokens));
        self.span.record("gen_ai.usage.output_tokens", i64::from(usage.completion_tokens));
        self.span.record("gen_ai.usage.cache_read.input_tokens", i64::from(usage.cached_tokens));
        set_texts(&self.span, "gen_ai.response.finish_reasons", &self.reasons);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record("error.type", "unfinished");
        }
    }
}

fn begin(operation: &'static str, model: &str, call: &Span, wishes: &Wishes) -> Span {
    let span = tracing::info_span!(
        target: SPAN_TARGET,
        parent: call,
        "worker.generate",
        otel.name = format!("{operation} {model}"),
        gen_ai.operation.name = operation,
        gen_ai.provider.name = "torchmesh",
        gen_ai.request.model = model,
        gen_ai.response.model = model,
        gen_ai.request.temperature = wishes.sampling.temperature,
        gen_ai.request.top_p = wishes.sampling.top_p,
        gen_ai.request.top_k = i64::from(wishes.sampling.top_k),
        gen_ai.request.frequency_penalty = wishes.sampling.frequency_penalty,
        gen_ai.request.presence_penalty = wishes.sampling.presence_penalty,
        gen_ai.request.choice.count = i64::try_from(wishes.counts.n).unwrap_or(i64::MAX),
        gen_ai.request.max_tokens = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        error.type = Empty,
    );
    if let Some(most) = wishes.max_tokens {
        span.record("gen_ai.request.max_tokens", i64::from(most));
    }
    span
}
