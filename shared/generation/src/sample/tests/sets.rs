//! What `top_k`, `top_p` and `min_p` leave, against a plain sort.

use proptest::prelude::*;

use super::{logits, sampler};
use crate::sample::Sampling;

/// The tokens in order of likelihood, as many as are left. `slack` widens the bounds that rounding can shift.
fn naive(sampling: &Sampling, logits: &[f32], slack: f64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).filter(|&token| logits[token as usize].is_finite()).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k as usize);
    }
    let max = f64::from(logits[order[0] as usize]);
    let weights: Vec<f64> =
        order.iter().map(|&token| ((f64::from(logits[token as usize]) - max) / f64::from(sampling.temperature)).exp()).collect();
    if sampling.top_p < 1.0 {
        let target = f64::from(sampling.top_p) * weights.iter().sum::<f64>() * (1.0 + slack);
        let mut sum = 0.0;
        let kept = weights.iter().position(|weight| {
            sum += weight;
            sum >= target
        });
        order.truncate(kept.map_or(order.len(), |last| last + 1));
    }
    let least = f64::from(sampling.min_p) * (1.0 - slack);
    let kept = order.iter().zip(&weights).take_while(|(_, weight)| **weight >= least).count();
    order.truncate(kept.max(1));
    order
}

fn settings() -> impl Strategy<Value = Sampling> {
    let top_k = prop_oneof![Just(0), 1..50_u32, Just(10_000)];
    let top_p = prop_oneof![Just(1.0), 0.01..1.0_f32, 0.9..1.0_f32];
    let min_p = prop_oneof![Just(0.0), 0.0..1.0_f32, 0.0..0.01_f32];
    (0.05..2.0_f32, top_k, top_p, min_p).prop_map(|(temperature, top_k, top_p, min_p)| Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
        ..Sampling::default()
    })
}

#[test]
fn what_is_left_of_a_flat_vocabulary_is_what_a_sort_leaves() {
    for (name, logits) in [
        ("ties", (0..20_000).map(|token| (token % 7) as f32).collect::<Vec<_>>()),
        ("equal", vec![2.5; 20_000]),
        ("spread", (0..20_000).map(|token| ((token * 7919) % 20_011) as f32 / 5000.0).collect()),
    ] {
        for top_p in [0.1, 0.5, 0.951, 0.9999] {
            let sampling = Sampling { top_p, ..Sampling::default() };
            let left = sampler(sampling.clone()).left(&logits);
            let (mut fewest, mut most) = (naive(&sampling, &logits, -1e-5), naive(&sampling, &logits, 1e-5));
            assert!(
                fewest.len() <= left.len() && left.len() <= most.len(),
                "{name} {top_p}: {} of {} to {}",
                left.len(),
                fewest.len(),
                most.len()
            );
            fewest.sort_unstable();
            most.sort_unstable();
            assert!(
                fewest.iter().all(|token| left.binary_search(token).is_ok()) && left.iter().all(|token| most.binary_search(token).is_ok())
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_left_is_what_a_sort_of_the_whole_vocabulary_leaves(sampling in settings(), mut logits in logits(), holes in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        for hole in holes {
            let hole = hole.index(logits.len());
            if hole != best {
                logits[hole] = if hole % 2 == 0 { f32::NEG_INFINITY } else { f32::NAN };
            }
        }
        let mut left = sampler(sampling.clone()).left(&logits);
        left.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        let (fewest, most) = (naive(&sampling, &logits, -1e-5), naive(&sampling, &logits, 1e-5));
        prop_assert!(fewest.len() <= left.len() && left.len() <= most.len(), "{} of {} to {}", left.len(), fewest.len(), most.len());
        prop_assert_eq!(&left[..], &most[..left.len()]);
    }
}
