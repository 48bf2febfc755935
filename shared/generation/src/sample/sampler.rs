//! Chooses one token after another for one sequence.

use std::cell::RefCell;

use super::{
    Sampling,
    blocks::Blocks,
    candidates::{Candidate, at, keep_likeliest, keep_mass, mass},
    random::draw,
    seen::{Seen, matters},
};

/// A token that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability by the logits as they came; where [`Sampling::logprobs`] asks for it. Negative infinity where the
    /// model holds the token to be impossible.
    pub logprob: Option<f32>,
    /// The likeliest tokens at this place, the likeliest first, of equals the lowest id.
    pub likeliest: Vec<Likely>,
}

/// A token and how likely it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likely {
    /// The token.
    pub token: u32,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// No token can be chosen: every logit is infinite, no number, or masked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no token has a finite logit")]
pub struct NoToken;

/// Chooses the tokens of one sequence. The same settings, seed, prompt and logits give the same tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    seed: u64,
    place: u64,
    seen: Seen,
    sees: bool,
}

/// Memory that every sampler of a thread uses in turn: a few hundred KiB that would else be there once for each sequence.
#[derive(Debug, Default)]
struct Scratch {
    blocks: Blocks,
    candidates: Vec<Candidate>,
    room: Vec<Candidate>,
    /// The logits as they came.
    raw: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Sampler {
    /// A sampler for a sequence that begins with `prompt`; `sampling` has been checked.
    pub fn new(sampling: Sampling, seed: u64, prompt: &[u32]) -> Self {
        Self { seen: Seen::of(prompt, &sampling), sees: matters(&sampling), sampling, seed, place: 0 }
    }

    /// The token that follows, by `logits`, which are changed on the way. Where there is a `mask`, its bit `token % 32` of the word `token / 32` says
    /// whether the token may be chosen; what lies behind the mask's end may not.
    pub fn choose(&mut self, logits: &mut [f32], mask: Option<&[u32]>) -> Result<Choice, NoToken> {
        SCRATCH.with_borrow_mut(|scratch| {
            if self.sampling.logprobs.is_some() {
                scratch.raw.clear();
                scratch.raw.extend_from_slice(logits);
            }
            if let Some(mask) = mask {
                apply(mask, logits);
            }
            let token = self.pick(logits, scratch).ok_or(NoToken)?;
            self.wrote(token);
            let Scratch { blocks, candidates, room, raw } = scratch;
            let (logprob, likeliest) = match self.sampling.logprobs {
                None => (None, Vec::new()),
                Some(count) => tell(raw, token, count, blocks, candidates, room),
            };
            Ok(Choice { token, logprob, likeliest })
        })
    }

    /// Whether it takes the token of the highest logit, as the logits come, and nobody wants to know more of them.
    pub fn takes_likeliest(&self) -> bool {
        let Sampling { logit_bias, logprobs, .. } = &self.sampling;
        self.sampling.is_greedy() && !self.sees && logit_bias.is_empty() && logprobs.is_none()
    }

    /// Takes a token that was chosen before, elsewhere, as if it had been chosen here.
    pub fn wrote(&mut self, token: u32) {
        self.place += 1;
        if self.sees {
            self.seen.add(token);
        }
    }

    /// What the model says of a token that the caller has written: the logarithms of `token` by `logits`, as [`Sampling::logprobs`] asks for them.
    pub fn read(&self, logits: &[f32], token: u32) -> Choice {
        SCRATCH.with_borrow_mut(|Scratch { blocks, candidates, room, .. }| {
            let count = self.sampling.logprobs.unwrap_or_default();
            let (logprob, likeliest) = tell(logits, token, count, blocks, candidates, room);
            Choice { token, logprob, likeliest }
        })
    }

    fn pick(&self, logits: &mut [f32], scratch: &mut Scratch) -> Option<u32> {
        for &(token, bias) in &self.sampling.logit_bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        if self.sees {
            self.seen.penalise(logits, &self.sampling);
        }
        scratch.blocks.look(logits);
        if self.sampling.is_greedy() || !scratch.blocks.max.is_finite() {
            return scratch.blocks.likeliest(logits);
        }
        let chance = draw(self.seed, self.place);
        if self.gather(logits, scratch) {
            at(&scratch.candidates, chance * mass(&scratch.candidates))
        } else {
            let total = scratch.blocks.weigh(logits, self.sampling.temperature);
            scratch.blocks.at(logits, self.sampling.temperature, chance * total)
        }
    }

    /// Gathers what `top_k`, `top_p` and `min_p` leave; false where they leave everything.
    fn gather(&self, logits: &[f32], scratch: &mut Scratch) -> bool {
        let Scratch { blocks, candidates, room, .. } = scratch;
        let Sampling { temperature, top_p, min_p, .. } = self.sampling;
        let top_k = self.sampling.top_k as usize;
        let limited = top_k > 0 && top_k < logits.len();
        // The logit of a token that is `ratio` times as likely as the likeliest, and a hair less: rounding may not lose one.
        let max = blocks.max;
        let logit_of = |ratio: f64| max + temperature * (ratio.ln() as f32) - 1e-4 * (1.0 + max.abs());
        if limited {
            let least = blocks.reached_by(top_k);
            blocks.gather(logits, least, temperature, candidates);
            keep_likeliest(candidates, top_k, room);
            if top_p < 1.0 {
                keep_mass(candidates, f64::from(top_p) * mass(candidates), room);
            }
        } else if top_p < 1.0 {
            let total = blocks.weigh(logits, temperature);
            // All tokens that are less likely than the mean of what is to be cut are cut.
            let cut = (1.0 - f64::from(top_p)) * total / logits.len() as f64;
            blocks.gather(logits, logit_of(cut.min(1.0)), temperature, candidates);
            keep_mass(candidates, f64::from(top_p) * total, room);
        } else if min_p > 0.0 {
            blocks.gather(logits, logit_of(f64::from(min_p)), temperature, candidates);
        } else {
            return false;
        }
        candidates.retain(|candidate| candidate.weight >= min_p);
        true
    }

    /// What the settings leave of `logits`, in the order of the ids.
    #[cfg(test)]
    pub(super) fn left(&self, logits: &[f32]) -> Vec<u32> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.blocks.look(logits);
            if self.gather(logits, scratch) {
                scratch.candidates.iter().map(|candidate| candidate.token).collect()
            } else {
                (0..logits.len() as u32).filter(|&token| logits[token as usize].is_finite()).collect()
            }
        })
    }
}

fn apply(mask: &[u32], logits: &mut [f32]) {
    for (index, block) in logits.chunks_mut(32).enumerate() {
        match mask.get(index).copied().unwrap_or_default() {
            u32::MAX => {}
            0 => block.fill(f32::NEG_INFINITY),
            bits => {
                for (bit, logit) in block.iter_mut().enumerate() {
                    if bits >> bit & 1 == 0 {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
        }
    }
}

/// The logarithm of `token`, and the `count` likeliest tokens with theirs.
fn tell(
    logits: &[f32],
    token: u32,
    count: u32,
    blocks: &mut Blocks,
    candidates: &mut Vec<Candidate>,
    room: &mut Vec<Candidate>,
) -> (Option<f32>, Vec<Likely>) {
    blocks.look(logits);
    if !blocks.max.is_finite() {
        return (None, Vec::new());
    }
    let normal = blocks.max + blocks.weigh(logits, 1.0).ln() as f32;
    let logprob = logits.get(token as usize).map(|logit| if logit.is_finite() { logit - normal } else { f32::NEG_INFINITY });
    let mut likeliest = Vec::new();
    if count > 0 {
        let least = blocks.reached_by(count as usize);
        blocks.gather(logits, least, 1.0, candidates);
        keep_likeliest(candidates, count as usize, room);
        candidates.sort_unstable_by(Candidate::rank);
        likeliest.extend(candidates.iter().map(|candidate| Likely { token: candidate.token, logprob: candidate.logit - normal }));
    }
    (logprob, likeliest)
}
