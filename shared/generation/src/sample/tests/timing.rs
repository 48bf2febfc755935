//! How long a choice takes: `cargo test --release -p torchmesh-generation -- --ignored --nocapture nanoseconds`.

use std::{hint::black_box, time::Instant};

use super::{greedy, sampler};
use crate::sample::{Sampler, Sampling};

/// Logits like a model's: most of the vocabulary far away, some tens of tokens near the likeliest.
fn row(vocabulary: usize) -> Vec<f32> {
    let mut logits = noise(vocabulary);
    for rank in 0..500 {
        logits[rank * 997 % vocabulary] = 18.0 - 2.0 * (1.0 + rank as f32).ln();
    }
    logits
}

fn noise(vocabulary: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 + 1e-7
    };
    (0..vocabulary).map(|_| 2.2 * (-2.0 * uniform().ln()).sqrt() * (std::f32::consts::TAU * uniform()).cos()).collect()
}

fn time(name: &str, mut sampler: Sampler, logits: &[f32]) {
    const TOKENS: u32 = 300;
    let mut best = u128::MAX;
    for _ in 0..5 {
        let mut rows = vec![logits.to_vec(); 8];
        let start = Instant::now();
        for step in 0..TOKENS {
            black_box(sampler.choose(&mut rows[step as usize % 8], None).unwrap());
        }
        best = best.min(start.elapsed().as_nanos() / u128::from(TOKENS));
    }
    println!("{name}, {} tokens: {best} ns", logits.len());
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn nanoseconds_for_each_token() {
    for vocabulary in [49_152, 151_936] {
        let logits = row(vocabulary);
        time("greedy", sampler(greedy()), &logits);
        time("temperature", sampler(Sampling::default()), &logits);
        time("top_k 50", sampler(Sampling { top_k: 50, ..Sampling::default() }), &logits);
        time("top_p 0.95", sampler(Sampling { top_p: 0.95, ..Sampling::default() }), &logits);
        time("top_k 50, top_p 0.95", sampler(Sampling { top_k: 50, top_p: 0.95, ..Sampling::default() }), &logits);
        time("min_p 0.05", sampler(Sampling { min_p: 0.05, ..Sampling::default() }), &logits);
        time("greedy, logprobs 5", sampler(Sampling { logprobs: Some(5), ..greedy() }), &logits);
        time("top_p 0.95, flat", sampler(Sampling { top_p: 0.95, ..Sampling::default() }), &noise(vocabulary));
    }
}
