use proptest::prelude::*;

use super::{choose, greedy, logits, sampler};
use crate::sample::{NoToken, Sampler, Sampling, seed_of};

#[test]
fn the_lowest_of_the_likeliest_is_chosen_at_temperature_0() {
    let mut logits = vec![0.0; 1000];
    logits[321] = 3.0;
    logits[322] = 3.0;
    logits[999] = 3.0;
    assert_eq!(choose(greedy(), &logits), 321);
}

#[test]
fn what_is_not_finite_is_never_chosen() {
    let mut logits = vec![f32::NAN; 200];
    logits[3] = f32::INFINITY;
    logits[4] = f32::NEG_INFINITY;
    logits[100] = -1e30;
    for sampling in
        [greedy(), Sampling::default(), Sampling { top_k: 5, ..Sampling::default() }, Sampling { top_p: 0.5, ..Sampling::default() }]
    {
        assert_eq!(choose(sampling.clone(), &logits), 100);
        assert_eq!(sampler(sampling).choose(&mut [f32::NAN, f32::INFINITY, f32::NEG_INFINITY], None), Err(NoToken));
    }
    assert_eq!(sampler(greedy()).choose(&mut [], None), Err(NoToken));
}

#[test]
fn the_mask_is_applied_before_top_k() {
    let logits = [9.0, 8.0, 1.0, 0.0];
    let mut only = Sampler::new(Sampling { top_k: 1, ..Sampling::default() }, 1, &[]);
    assert_eq!(only.choose(&mut logits.to_vec(), Some(&[0b1100])).unwrap().token, 2);
    assert_eq!(only.choose(&mut logits.to_vec(), Some(&[0])), Err(NoToken));
    assert_eq!(only.choose(&mut logits.to_vec(), Some(&[])), Err(NoToken), "what the mask does not tell of is forbidden");
}

#[test]
fn the_same_seed_writes_the_same_tokens_whatever_else_is_written_in_between() {
    let row = |step: u32| (0..500).map(|token| ((token * 37 + step * 11) % 97) as f32 / 20.0).collect::<Vec<f32>>();
    let write = |seed: u64, others: bool| {
        let mut ours = Sampler::new(Sampling::default(), seed, &[]);
        let mut other = Sampler::new(Sampling { top_k: 3, logprobs: Some(2), ..Sampling::default() }, 99, &[]);
        let mut tokens = Vec::new();
        for step in 0..50 {
            tokens.push(ours.choose(&mut row(step), None).unwrap().token);
            if others {
                other.choose(&mut row(step + 1), None).unwrap();
            }
        }
        tokens
    };
    assert_eq!(write(5, false), write(5, true));
    assert_ne!(write(5, false), write(6, false));
    assert_eq!(seed_of(5, 0), 5);
    assert_ne!(write(seed_of(5, 0), false), write(seed_of(5, 1), false));
    assert_ne!(write(seed_of(5, 1), false), write(seed_of(6, 1), false));
}

#[test]
fn a_seed_writes_what_it_wrote_in_earlier_releases() {
    let mut sampler = Sampler::new(Sampling::default(), 42, &[]);
    let tokens: Vec<u32> = (0..8).map(|_| sampler.choose(&mut [0.0; 1000], None).unwrap().token).collect();
    assert_eq!(tokens, [741, 159, 278, 344, 38, 868, 218, 800]);
}

proptest! {
    #[test]
    fn a_low_temperature_and_a_narrow_set_choose_what_greedy_does(logits in logits()) {
        let best = choose(greedy(), &logits);
        prop_assert_eq!(choose(Sampling { top_k: 1, ..Sampling::default() }, &logits), best);
        prop_assert_eq!(choose(Sampling { top_p: 1e-9, ..Sampling::default() }, &logits), best);
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let (cold, sharp) = (Sampling { temperature: 2e-5, ..Sampling::default() }, Sampling { min_p: 1.0, ..Sampling::default() });
        prop_assert!(logits[choose(cold, &logits) as usize] >= most);
        prop_assert!(logits[choose(sharp, &logits) as usize] >= most);
    }
}
