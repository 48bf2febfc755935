//! How many answers, and how long.

use crate::Refusal;

/// The most answers to one prompt.
pub const MAX_ANSWERS: u32 = 16;

/// How many answers to one prompt are written, and how many of them are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Counts {
    /// Told, 1 to [`MAX_ANSWERS`].
    pub n: usize,
    /// Written, `n` to [`MAX_ANSWERS`]; where it is more than `n`, the likeliest are told ([`likeliest`](super::likeliest)).
    pub best_of: usize,
}

impl Counts {
    /// The counts that a caller asks for: one answer where nothing is said, and no more are written than told.
    pub fn of(n: Option<u32>, best_of: Option<u32>) -> Result<Self, Refusal> {
        let told = n.unwrap_or(1);
        if !(1..=MAX_ANSWERS).contains(&told) {
            return Err(Refusal::new("n", format!("must be from 1 to {MAX_ANSWERS}, not {told}")));
        }
        let written = best_of.unwrap_or(told);
        if !(told..=MAX_ANSWERS).contains(&written) {
            return Err(Refusal::new("best_of", format!("must be from n, which is {told}, to {MAX_ANSWERS}, not {written}")));
        }
        Ok(Self { n: told as usize, best_of: written as usize })
    }

    /// Whether the answers' means are needed to choose among them.
    pub fn ranked(&self) -> bool {
        self.best_of > self.n
    }
}

/// How many tokens an answer may have: what the caller asks for, else what the model's operator has set, else what the context leaves room for; never
/// more than that. `prompt` and `context` are in tokens.
pub fn max_new(asked: Option<u32>, preset: Option<usize>, prompt: usize, context: usize) -> Result<usize, Refusal> {
    if asked == Some(0) {
        return Err(Refusal::new("max_tokens", "must be at least 1, not 0"));
    }
    if prompt == 0 {
        return Err(Refusal::new("prompt", "must have at least one token"));
    }
    if prompt >= context {
        let most = context.saturating_sub(1);
        return Err(Refusal::new("prompt", format!("has {prompt} tokens; the model's context takes at most {most} and an answer")));
    }
    let wished = asked.map(|asked| asked as usize).or(preset).unwrap_or(usize::MAX);
    Ok(wished.min(context - prompt))
}
