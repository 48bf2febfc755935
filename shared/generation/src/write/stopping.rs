//! When an answer is complete.

use std::sync::Arc;

use crate::Refusal;

/// The most stop texts of one request.
pub const MAX_STOPS: usize = 16;
/// The longest stop text.
pub const MAX_STOP_BYTES: usize = 256;
/// The most stop tokens of one request.
pub const MAX_STOP_TOKENS: usize = 64;

/// What ends an answer, beside its length.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stopping {
    /// Texts that end it and are no part of it, at most [`MAX_STOPS`] of 1 to [`MAX_STOP_BYTES`] bytes.
    pub stop: Arc<[String]>,
    /// Tokens that end it and whose text is no part of it, at most [`MAX_STOP_TOKENS`].
    pub stop_tokens: Vec<u32>,
    /// The model's own end tokens.
    pub end_tokens: Arc<[u32]>,
    /// Whether the model's end tokens do not end it. A grammar that is complete ends it all the same.
    pub ignore_end: bool,
}

impl Stopping {
    /// Whether every setting is in its range; `vocabulary` is how many tokens the model has.
    pub fn check(&self, vocabulary: usize) -> Result<(), Refusal> {
        if self.stop.len() > MAX_STOPS {
            return Err(Refusal::new("stop", format!("must be at most {MAX_STOPS} texts, not {}", self.stop.len())));
        }
        if let Some(text) = self.stop.iter().find(|text| text.is_empty() || text.len() > MAX_STOP_BYTES) {
            return Err(Refusal::new("stop", format!("each text must have 1 to {MAX_STOP_BYTES} bytes, not {}", text.len())));
        }
        if self.stop_tokens.len() > MAX_STOP_TOKENS {
            return Err(Refusal::new("stop_tokens", format!("must be at most {MAX_STOP_TOKENS} tokens, not {}", self.stop_tokens.len())));
        }
        if let Some(token) = self.stop_tokens.iter().find(|&&token| token as usize >= vocabulary) {
            let why = format!("token {token} is not in the vocabulary, which ends at {}", vocabulary.saturating_sub(1));
            return Err(Refusal::new("stop_tokens", why));
        }
        Ok(())
    }
}
