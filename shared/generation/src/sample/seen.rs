//! What a sequence has read and written, as far as penalties ask for it.

use std::collections::HashMap;

use super::Sampling;

/// How often each token was written; a token that was only read has 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    counts: HashMap<u32, u32>,
}

impl Seen {
    /// What is to be remembered of the prompt: all of it where repetition is penalised, else nothing.
    pub(super) fn of(prompt: &[u32], sampling: &Sampling) -> Self {
        let counts = if repeats_matter(sampling) { prompt.iter().map(|&token| (token, 0)).collect() } else { HashMap::new() };
        Self { counts }
    }

    /// A token was written.
    pub(super) fn add(&mut self, token: u32) {
        *self.counts.entry(token).or_default() += 1;
    }

    /// Changes the logits of the tokens that were seen.
    pub(super) fn penalise(&self, logits: &mut [f32], sampling: &Sampling) {
        let repeats = repeats_matter(sampling);
        for (&token, &count) in &self.counts {
            let Some(logit) = logits.get_mut(token as usize) else { continue };
            if repeats {
                *logit = if *logit > 0.0 { *logit / sampling.repetition_penalty } else { *logit * sampling.repetition_penalty };
            }
            if count > 0 {
                *logit -= sampling.frequency_penalty * count as f32 + sampling.presence_penalty;
            }
        }
    }
}

/// Whether any setting asks what was seen.
pub(super) fn matters(sampling: &Sampling) -> bool {
    repeats_matter(sampling) || sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0
}

fn repeats_matter(sampling: &Sampling) -> bool {
    (sampling.repetition_penalty - 1.0).abs() > 0.0
}
