//! What is told of an answer.

use bytes::Bytes;

use crate::{DecoderError, structure::Broken};

/// What happens to an answer, in this order: [`Event::Before`] once where some of it was written before, [`Event::Began`] once, [`Event::Piece`] as often as there
/// is text, and [`Event::Ended`] or [`Event::Failed`] once, as the last. A token causes one event at most. Where the last is missing, the scheduler has dropped the
/// sequence. [`Event::Over`] is the only one of an answer that was complete before.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The text of what was written before, which has been told: for whoever makes more of the text than to pass it on.
    Before(String),
    /// What was written before is the whole answer, and its end has been told.
    Over {
        /// All of its tokens.
        completion_tokens: usize,
    },
    /// The sequence runs from now on.
    Began {
        /// The prompt's tokens.
        prompt: usize,
        /// How many of them were in the cache.
        cached: usize,
    },
    /// What was written since the last event, with some text at least; or the prompt, where it is to be told.
    Piece(Piece),
    /// The answer is complete.
    Ended(Ended),
    /// The answer goes on no further, and is not complete; what came before stands.
    Failed(Failure),
}

/// A piece of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// Whole characters, of which none can belong to a stop text.
    pub text: String,
    /// The tokens chosen since the last piece. They may run ahead of the text, where a character is incomplete or may belong to a stop text, and
    /// include those that end the answer and those of a stop text, which add no text (as vLLM has it).
    pub tokens: Vec<Written>,
}

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The token.
    pub id: u32,
    /// What it stands for by itself: maybe a part of a character; of a special token its name.
    pub bytes: Bytes,
    /// The natural logarithm of its probability, where logarithms are asked for; not for the first token of a prompt.
    pub logprob: Option<f32>,
    /// The likeliest tokens at its place, the likeliest first.
    pub likeliest: Vec<WrittenLikely>,
}

/// A token that was likely at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenLikely {
    /// The token.
    pub id: u32,
    /// What it stands for by itself.
    pub bytes: Bytes,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What was written since the last piece; maybe no text.
    pub last: Piece,
    /// Why it ended.
    pub reason: Reason,
    /// All tokens that were chosen: those of a stop text and the one that ended it too (as vLLM counts them).
    pub completion_tokens: usize,
    /// The mean of the tokens' logarithms, where they are asked for or answers are ranked; `None` also for an answer of no token.
    pub mean_logprob: Option<f64>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// One of the model's end tokens.
    End,
    /// A stop text, by its place in the request.
    StopText(usize),
    /// A stop token.
    StopToken(u32),
    /// Its form is complete.
    Form,
    /// It has as many tokens as were asked for, or as the context takes.
    Length,
}

/// Why an answer goes on no further.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The deadline has passed.
    #[error("the deadline has passed")]
    Deadline,
    /// The model failed; the message is for its operator.
    #[error("the model failed")]
    Model(#[source] DecoderError),
    /// The model gave no finite logit.
    #[error("the model failed: it gave no number by which a token could be chosen")]
    NoToken,
    /// The form needs more work for a token than one may take.
    #[error("format: {0}")]
    Form(#[from] Broken),
    /// The model is not served any more.
    #[error("the model is not served any more")]
    Closed,
}
