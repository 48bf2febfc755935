//! What all methods of text do: tokenise, run, and hand back each text's windows with what the model answered for them.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use torchmesh_api::{error::ApiError, text::v1 as pb, usage::Figures};

use super::{TextCall, invalid};
use crate::{
    admission::{Answered, Part},
    manifest::{ATTENTION_MASK, INPUT_IDS, ScoreFunction, Truncation},
    tensor::{Datatype, Tensor},
    text::{Job, Source, Tokenised, Window},
};

/// A text that the model has read.
pub(super) struct Read {
    /// What it read.
    pub(super) tokenised: Tokenised,
    /// For each window, what the model answered: its only output, of one row.
    pub(super) answers: Vec<Tensor>,
}

/// The values of an answer.
pub(super) fn floats(answer: &Tensor) -> Vec<f32> {
    answer.to_f32s().unwrap_or_default()
}

impl TextCall<'_> {
    /// What becomes of a text that is too long.
    pub(super) fn truncation(&self, asked: i32) -> Result<Truncation, ApiError> {
        match pb::Truncation::try_from(asked) {
            Ok(pb::Truncation::Unspecified) => Ok(self.text.settings.truncation),
            Ok(pb::Truncation::Reject) => Ok(Truncation::Reject),
            Ok(pb::Truncation::End) => Ok(Truncation::End),
            Ok(pb::Truncation::Split) => Ok(Truncation::Split),
            Err(_) => {
                let message = "send 0 (the model's own), 1 (reject), 2 (cut the end) or 3 (split into windows)";
                Err(invalid(format!("truncation is {asked}; {message}")))
            }
        }
    }

    /// As [`TextCall::truncation`], where a text has to be read in one.
    pub(super) fn truncation_of_one(&self, asked: i32) -> Result<Truncation, ApiError> {
        match self.truncation(asked)? {
            Truncation::Split if asked == 0 => Ok(Truncation::Reject),
            Truncation::Split => Err(invalid("truncation is 3 (split), which this method does not do; send 1 (reject) or 2 (cut the end)")),
            truncation => Ok(truncation),
        }
    }

    /// What the scores are.
    pub(super) fn function(asked: i32, own: ScoreFunction) -> Result<ScoreFunction, ApiError> {
        match pb::ScoreFunction::try_from(asked) {
            Ok(pb::ScoreFunction::Unspecified) => Ok(own),
            Ok(pb::ScoreFunction::Softmax) => Ok(ScoreFunction::Softmax),
            Ok(pb::ScoreFunction::Sigmoid) => Ok(ScoreFunction::Sigmoid),
            Ok(pb::ScoreFunction::None) => Ok(ScoreFunction::None),
            Err(_) => Err(invalid(format!("function is {asked}; send 0 (the model's own), 1 (softmax), 2 (sigmoid) or 3 (none)"))),
        }
    }

    /// Tokenises texts, in their order; with `places` it is known where each token comes from.
    pub(super) async fn tokenise(&self, texts: Vec<Source>, truncation: Truncation, places: bool) -> Result<Vec<Tokenised>, ApiError> {
        let (tokeniser, seconds) = (Arc::clone(&self.text.tokeniser), self.model.metrics.tokenise_seconds.clone());
        self.front.tokenisers.tokenise(Job { tokeniser, texts, truncation, places, seconds }).await
    }

    /// Runs the windows of all texts as one request.
    pub(super) async fn run(&self, tokenised: Vec<Tokenised>) -> Result<Vec<Read>, ApiError> {
        self.spending.count(Figures { items: tokenised.len() as u64, ..Figures::default() });
        let windows = tokenised.iter().flat_map(|text| &text.windows);
        let mut answers = self.submit(windows.map(|window| self.part(window)).collect()).await?.into_iter();
        let output = |mut answered: Answered| answered.outputs.swap_remove(0);
        let mut read = |tokenised: Tokenised| {
            let answers = answers.by_ref().take(tokenised.windows.len()).map(output).collect();
            Read { tokenised, answers }
        };
        Ok(tokenised.into_iter().map(&mut read).collect())
    }

    /// Waits for the answers of parts of one row each, in their order.
    pub(super) async fn submit(&self, parts: Vec<Part>) -> Result<Vec<Answered>, ApiError> {
        let tokens = parts.iter().map(|part| part.length * part.attribution.as_ref().map_or(1, |along| along.steps.len()));
        let used = Figures { prompt_tokens: tokens.sum::<usize>() as u64, ..Figures::default() };
        let answers = self.serving.queue.push(self.info.clone().submission(parts))?.await?;
        self.spending.add(answers.spent);
        self.spending.count(used);
        Ok(answers.answered)
    }

    /// A window as the model's inputs, in the order of its manifest.
    pub(super) fn part(&self, window: &Window) -> Part {
        let length = window.ids.len();
        let shape = vec![1, i64::try_from(length).unwrap_or(i64::MAX)];
        let inputs = self.serving.manifest.inputs.iter().map(|input| {
            let data = match input.name.as_str() {
                INPUT_IDS => widened(&window.ids),
                ATTENTION_MASK => self.text.ones.slice(..length * 8),
                // The manifest lets in nothing else but `token_type_ids`, which is zero for a single text.
                _ if window.types.is_empty() => self.text.zeros.slice(..length * 8),
                _ => widened(&window.types),
            };
            Tensor { datatype: Datatype::Int64, shape: shape.clone(), data }
        });
        Part { rows: 1, length, shape: Box::default(), inputs: inputs.collect(), attribution: None }
    }
}

fn widened(values: &[u32]) -> Bytes {
    let mut data = BytesMut::with_capacity(values.len() * 8);
    for &value in values {
        data.put_i64_le(i64::from(value));
    }
    data.freeze()
}
