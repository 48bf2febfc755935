//! One answer, as it comes, and how fast it came.

use std::{pin::pin, time::Duration};

use serde::Serialize;
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};
use torchmesh_api::text::v1::{ChatResponse, FinishReason};

use crate::error::Result;

/// An answer that is whole, or as much of it as came before it was stopped.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Answer {
    pub(super) model: String,
    pub(super) model_version: String,
    pub(super) content: String,
    /// `stop`, `length`; null of one that was stopped.
    finish_reason: Option<&'static str>,
    usage: Option<Usage>,
    /// Until its first piece came.
    first_token_seconds: f64,
    /// Until its last piece came.
    seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of OpenAI's usage")]
struct Usage {
    prompt_tokens: u32,
    cached_tokens: u32,
    completion_tokens: u32,
}

/// When an answer was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(Instant);

impl Asked {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }

    /// Reads an answer, each piece as it comes to `show`, until it is whole or `stop` is there; letting go of it ends it at the worker.
    pub(super) async fn read(
        self,
        begun: impl Future<Output = std::result::Result<Response<Streaming<ChatResponse>>, Status>>,
        mut show: impl FnMut(&str) -> Result<()>,
        stop: impl Future<Output = ()>,
    ) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut stop = pin!(stop);
        let mut pieces = tokio::select! {
            () = &mut stop => return Ok(answer),
            begun = begun => begun?.into_inner(),
        };
        loop {
            let piece = tokio::select! {
                () = &mut stop => return Ok(answer),
                piece = pieces.message() => piece?,
            };
            let Some(piece) = piece else { return Ok(answer) };
            answer.add(&piece, self.0.elapsed());
            if !piece.content.is_empty() {
                show(&piece.content)?;
            }
        }
    }
}

impl Answer {
    fn add(&mut self, piece: &ChatResponse, elapsed: Duration) {
        if self.content.is_empty() && !piece.content.is_empty() {
            self.first_token_seconds = elapsed.as_secs_f64();
        }
        self.seconds = elapsed.as_secs_f64();
        self.model.clone_from(&piece.model);
        self.model_version.clone_from(&piece.model_version);
        self.content.push_str(&piece.content);
        self.finish_reason = reason(piece.finish_reason()).or(self.finish_reason);
        self.usage = piece.usage.map(|usage| Usage {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
        });
    }

    /// How fast it came, in words.
    pub(super) fn pace(&self) -> String {
        let first = format!("first after {:.2} s", self.first_token_seconds);
        let Some(usage) = self.usage else { return format!("stopped; {first}") };
        let tokens = usage.completion_tokens;
        let cut = if self.finish_reason == Some("length") { ", cut at its greatest length" } else { "" };
        match speed(tokens, self.seconds - self.first_token_seconds) {
            Some(speed) => format!("{tokens} tokens, {speed:.1} tokens/s, {first}{cut}"),
            None => format!("{tokens} tokens, {first}{cut}"),
        }
    }
}

/// Tokens a second behind the first one, where there are enough of them to say.
fn speed(tokens: u32, seconds: f64) -> Option<f64> {
    (tokens > 1 && seconds > 0.0).then(|| f64::from(tokens - 1) / seconds)
}

fn reason(reason: FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Unspecified => None,
        FinishReason::Stop => Some("stop"),
        FinishReason::Length => Some("length"),
        FinishReason::ToolCalls => Some("tool_calls"),
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_api::text::v1::Usage as Told;

    use super::*;

    fn answer(finish: FinishReason) -> Answer {
        let piece = |content: &str| ChatResponse { model: "m".into(), content: content.into(), ..Default::default() };
        let end = ChatResponse { finish_reason: finish.into(), ..piece("") };
        let usage = ChatResponse { usage: Some(Told { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 11 }), ..piece("") };
        let mut answer = Answer::default();
        for (at, piece) in [piece(""), piece("a"), piece("b"), end, usage].iter().enumerate() {
            answer.add(piece, Duration::from_secs(at as u64));
        }
        answer
    }

    #[test]
    fn the_pace_is_that_of_what_came_behind_the_first_token() {
        let stopped = answer(FinishReason::Stop);
        assert_eq!((stopped.content.as_str(), stopped.finish_reason), ("ab", Some("stop")));
        assert_eq!(stopped.pace(), "11 tokens, 3.3 tokens/s, first after 1.00 s");
        assert!(answer(FinishReason::Length).pace().ends_with("cut at its greatest length"));
    }

    #[test]
    fn one_token_has_no_pace_and_neither_has_an_answer_that_was_stopped() {
        assert_eq!(speed(1, 2.0), None);
        assert_eq!(speed(5, 0.0), None);
        assert!(Answer::default().pace().starts_with("stopped"));
    }
}
