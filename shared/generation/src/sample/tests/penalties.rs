use proptest::prelude::*;

use super::{choose, greedy, logits};
use crate::sample::{Sampler, Sampling};

/// The logits as transformers and OpenAI describe the penalties, one token after another.
fn naive(sampling: &Sampling, prompt: &[u32], written: &[u32], logits: &[f32]) -> Vec<f32> {
    let mut changed = logits.to_vec();
    for (token, logit) in changed.iter_mut().enumerate() {
        let token = token as u32;
        if let Some((_, bias)) = sampling.logit_bias.iter().find(|(biased, _)| *biased == token) {
            *logit += bias;
        }
        if prompt.contains(&token) || written.contains(&token) {
            *logit = if *logit < 0.0 { *logit * sampling.repetition_penalty } else { *logit / sampling.repetition_penalty };
        }
        let count = written.iter().filter(|&&other| other == token).count();
        *logit -= count as f32 * sampling.frequency_penalty;
        *logit -= if count > 0 { sampling.presence_penalty } else { 0.0 };
    }
    changed
}

proptest! {
    #[test]
    fn penalties_change_the_logits_as_their_definitions_say(
        logits in logits(),
        prompt in prop::collection::vec(0..400_u32, 0..30),
        repetition_penalty in prop_oneof![Just(1.0), 0.1..2.0_f32],
        frequency_penalty in prop_oneof![Just(0.0), -2.0..2.0_f32],
        presence_penalty in prop_oneof![Just(0.0), -2.0..2.0_f32],
        bias in prop_oneof![Just(None), (0..400_u32, -5.0..5.0_f32).prop_map(Some)],
    ) {
        let logit_bias = bias.into_iter().collect();
        let sampling = Sampling { repetition_penalty, frequency_penalty, presence_penalty, logit_bias, ..greedy() };
        let mut sampler = Sampler::new(sampling.clone(), 1, &prompt);
        let mut written = Vec::new();
        for _ in 0..12 {
            let expected = naive(&sampling, &prompt, &written, &logits);
            let mut changed = logits.clone();
            written.push(sampler.choose(&mut changed, None).unwrap().token);
            for (ours, theirs) in changed.iter().zip(&expected) {
                prop_assert!((ours - theirs).abs() <= 1e-4, "{} is not {}", ours, theirs);
            }
        }
    }
}

#[test]
fn a_bias_of_100_makes_a_token_certain_and_one_of_minus_100_impossible() {
    let bias = |bias| Sampling { logit_bias: vec![(2, bias)], ..Sampling::default() };
    assert_eq!(choose(bias(100.0), &[1.0, 2.0, -3.0]), 2);
    assert_ne!(choose(bias(-100.0), &[1.0, 2.0, 30.0]), 2);
}
