mod choosing;
mod distribution;
mod logarithms;
mod penalties;
mod refusals;
mod sets;
mod timing;

use proptest::prelude::*;

use super::{Sampler, Sampling};

/// Logits of a small or larger vocabulary, with ties.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![4 => -12.0..12.0_f32, 1 => (-3..3).prop_map(|whole| whole as f32)], 1..400)
}

fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(sampling, 7, &[])
}

fn choose(sampling: Sampling, logits: &[f32]) -> u32 {
    sampler(sampling).choose(&mut logits.to_vec(), None).unwrap().token
}

fn greedy() -> Sampling {
    Sampling { temperature: 0.0, ..Sampling::default() }
}
