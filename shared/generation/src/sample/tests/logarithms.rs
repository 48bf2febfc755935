use proptest::prelude::*;

use super::{greedy, logits, sampler};
use crate::sample::{Sampler, Sampling};

fn naive(logits: &[f32]) -> Vec<f64> {
    let max = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let normal = max + logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum::<f64>().ln();
    logits.iter().map(|&logit| f64::from(logit) - normal).collect()
}

proptest! {
    #[test]
    fn logarithms_are_those_of_the_logits_as_they_came(logits in logits(), count in 0..20_u32, temperature in 0.0..2.0_f32) {
        let bias = vec![(0, -50.0)];
        let sampling = Sampling { temperature, top_k: 4, repetition_penalty: 1.5, logit_bias: bias, logprobs: Some(count), ..Sampling::default() };
        let expected = naive(&logits);
        let mut sampler = Sampler::new(sampling, 3, &[0]);
        let choice = sampler.choose(&mut logits.clone(), None).unwrap();
        prop_assert!((f64::from(choice.logprob.unwrap()) - expected[choice.token as usize]).abs() < 1e-4);
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        order.truncate(count as usize);
        prop_assert_eq!(choice.likeliest.iter().map(|likely| likely.token).collect::<Vec<_>>(), order);
        for likely in &choice.likeliest {
            prop_assert!((f64::from(likely.logprob) - expected[likely.token as usize]).abs() < 1e-4);
        }
        let read = sampler.read(&logits, choice.token);
        prop_assert_eq!(read, choice);
    }
}

#[test]
fn no_logarithm_is_told_unless_asked_for() {
    let choice = sampler(greedy()).choose(&mut [1.0, 2.0], None).unwrap();
    assert_eq!((choice.logprob, choice.likeliest.len()), (None, 0));
}

#[test]
fn what_the_model_holds_to_be_impossible_has_the_logarithm_of_zero() {
    let asked = sampler(Sampling { logprobs: Some(5), ..Sampling::default() });
    let read = asked.read(&[0.0, f32::NEG_INFINITY, f32::NAN], 1);
    assert_eq!(read.logprob, Some(f32::NEG_INFINITY));
    assert_eq!(read.likeliest.len(), 1, "and is not among the likeliest");
}
