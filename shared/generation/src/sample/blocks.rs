//! A vocabulary's logits at a glance: the largest of each block of 64.
//!
//! A vocabulary has up to 150,000 tokens and few of them matter. The blocks' maxima bound where the k-th largest logit is and say which blocks
//! need a second look, so nothing here sorts or copies the whole.

use super::{candidates::Candidate, exponential::exp};

const BLOCK: usize = 64;
const LANES: usize = 16;

/// What is known of each block of a row of logits. Kept from token to token for its memory.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The largest finite logit of each block.
    maxima: Vec<f32>,
    /// The sum of each block's weights, after [`Blocks::weigh`].
    sums: Vec<f32>,
    /// Room for finding the k-th largest maximum.
    ranked: Vec<f32>,
    /// The largest finite logit; negative infinity where there is none.
    pub(super) max: f32,
}

impl Blocks {
    /// Looks at `logits`. What is not finite counts as never to be chosen.
    pub(super) fn look(&mut self, logits: &[f32]) {
        self.maxima.clear();
        self.maxima.extend(logits.chunks(BLOCK).map(largest));
        self.max = self.maxima.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    }

    /// The lowest id with the largest logit.
    pub(super) fn likeliest(&self, logits: &[f32]) -> Option<u32> {
        let block = self.maxima.iter().position(|&max| max >= self.max)?;
        let from = block * BLOCK;
        let place = logits[from..].iter().position(|&logit| logit >= self.max && logit < f32::INFINITY)?;
        self.max.is_finite().then_some((from + place) as u32)
    }

    /// Sums the weights of all tokens: for each, e to the power of its distance to the largest logit over the temperature.
    pub(super) fn weigh(&mut self, logits: &[f32], temperature: f32) -> f64 {
        let (max, scale) = (self.max, temperature.recip());
        self.sums.clear();
        self.sums.extend(logits.chunks(BLOCK).map(|block| sum(block, max, scale)));
        self.sums.iter().map(|&sum| f64::from(sum)).sum()
    }

    /// The token at which the running sum of the weights passes `target`; [`Blocks::weigh`] has been called with the same temperature.
    pub(super) fn at(&self, logits: &[f32], temperature: f32, mut target: f64) -> Option<u32> {
        let scale = temperature.recip();
        let mut last = None;
        for (index, block) in logits.chunks(BLOCK).enumerate() {
            let sum = f64::from(self.sums[index]);
            if sum == 0.0 || (target >= sum && index + 1 < self.sums.len()) {
                target -= sum;
                continue;
            }
            for (place, &logit) in block.iter().enumerate() {
                let weight = f64::from(weight(logit, self.max, scale));
                if weight > 0.0 {
                    last = Some((index * BLOCK + place) as u32);
                    if target < weight {
                        return last;
                    }
                    target -= weight;
                }
            }
        }
        // The sums of the parts and of the whole are rounded differently: the last token has what is left over.
        last.or_else(|| self.likeliest(logits))
    }

    /// A logit that at least `count` logits reach, and not many more; negative infinity where the blocks cannot tell.
    pub(super) fn reached_by(&mut self, count: usize) -> f32 {
        if count == 0 || count > self.maxima.len() {
            return f32::NEG_INFINITY;
        }
        self.ranked.clear();
        self.ranked.extend_from_slice(&self.maxima);
        // Each of the `count` largest maxima is a logit of another block.
        *self.ranked.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a)).1
    }

    /// Gathers every finite logit of at least `least`, in the order of the ids.
    pub(super) fn gather(&self, logits: &[f32], least: f32, temperature: f32, into: &mut Vec<Candidate>) {
        let scale = temperature.recip();
        into.clear();
        for (index, block) in logits.chunks(BLOCK).enumerate() {
            if self.maxima[index] < least || self.maxima[index] == f32::NEG_INFINITY {
                continue;
            }
            for (place, &logit) in block.iter().enumerate() {
                if logit >= least && logit.is_finite() {
                    into.push(Candidate { logit, weight: weight(logit, self.max, scale), token: (index * BLOCK + place) as u32 });
                }
            }
        }
    }
}

/// The weight of one token, before it is divided by the sum of all.
fn weight(logit: f32, max: f32, scale: f32) -> f32 {
    // False for what is not a number and for positive infinity.
    if logit <= max { exp((logit - max) * scale) } else { 0.0 }
}

fn largest(block: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = block.as_chunks::<LANES>();
    for row in whole {
        for (lane, &logit) in lanes.iter_mut().zip(row) {
            *lane = if logit > *lane && logit < f32::INFINITY { logit } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().filter(|logit| logit.is_finite()).fold(f32::NEG_INFINITY, f32::max)
}

fn sum(block: &[f32], max: f32, scale: f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (whole, rest) = block.as_chunks::<LANES>();
    for row in whole {
        for (lane, &logit) in lanes.iter_mut().zip(row) {
            *lane += weight(logit, max, scale);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&logit| weight(logit, max, scale)).sum::<f32>()
}
