//! What is asked of a model, and why it may be refused.

use std::{sync::Arc, time::Instant};

use crate::{Author, DecoderError, DecoderFacts};

/// One answer to be made.
pub struct Job {
    /// The tokens to begin with: at least one, all of the model's vocabulary.
    pub prompt: Vec<u32>,
    /// How many tokens are chosen at most. 0 only makes sense with an author that reads the prompt.
    pub max_new: usize,
    /// Who chooses them.
    pub author: Box<dyn Author>,
    /// Which jobs go before it.
    pub priority: Priority,
    /// When it ends, whether it runs or waits.
    pub deadline: Option<Instant>,
    /// Whose cached beginnings it may use, and who may use its own: the tenant, unless the model's owner allows more.
    pub scope: Arc<str>,
    /// Who asks: tenants of one class take turns.
    pub tenant: Arc<str>,
}

/// A class of jobs. A job of a higher class has its place earlier and keeps it longer: where there is no room for it, one of a lower class loses
/// its own, and goes on later. The higher class is the lesser one, as what comes first in a sorted list.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Before all others.
    High,
    /// Where nothing was said.
    #[default]
    Normal,
    /// When nothing else is to do.
    Low,
}

/// Why a job is not taken. Its author has been told nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// There is nothing to go on from.
    #[error("the prompt is empty: give at least one token")]
    EmptyPrompt,
    /// It could never be read, with room for one token more where one is asked for.
    #[error("the prompt has {tokens} tokens, and this model takes {most} at most: shorten it")]
    TooLong {
        /// The prompt's tokens.
        tokens: usize,
        /// The most that would be taken.
        most: usize,
    },
    /// The model has no such token.
    #[error("the prompt's token {token} at place {place} is none of the model's {vocabulary}: use this model's tokeniser")]
    UnknownToken {
        /// The token.
        token: u32,
        /// Where it stands, from 0.
        place: usize,
        /// Tokens in the vocabulary.
        vocabulary: usize,
    },
    /// As many wait as may.
    #[error("{waiting} requests wait for this model already: try again later")]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// The model is not served any more.
    #[error("the model is not served any more")]
    Closed,
    /// The model has failed for good.
    #[error("the model has failed")]
    Failed(DecoderError),
}

/// What a prompt must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    vocabulary: usize,
    /// The longest sequence: as the model has it, and never more than its cache holds, so that each sequence can run alone at least.
    context: usize,
    chooses: bool,
}

impl Limits {
    pub(crate) fn of(facts: &DecoderFacts) -> Self {
        let context = facts.max_tokens.min(facts.blocks * facts.block_tokens);
        Self { vocabulary: facts.vocabulary, context, chooses: facts.chooses }
    }

    pub(crate) fn check(&self, job: &Job) -> Result<(), SubmitError> {
        let (tokens, most) = (job.prompt.len(), self.context.saturating_sub(job.max_new.min(1)));
        if tokens == 0 {
            return Err(SubmitError::EmptyPrompt);
        }
        if tokens > most {
            return Err(SubmitError::TooLong { tokens, most });
        }
        match job.prompt.iter().position(|&token| !self.knows(token)) {
            Some(place) => Err(SubmitError::UnknownToken { token: job.prompt[place], place, vocabulary: self.vocabulary }),
            None => Ok(()),
        }
    }

    pub(crate) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Whether the decoder may be asked for the likeliest token instead of the logits.
    pub(crate) fn chooses(&self) -> bool {
        self.chooses
    }

    pub(crate) fn knows(&self, token: u32) -> bool {
        (token as usize) < self.vocabulary
    }

    /// How long a sequence gets at most, prompt and all.
    pub(crate) fn length(&self, prompt: usize, max_new: usize) -> usize {
        prompt.saturating_add(max_new).min(self.context)
    }
}
