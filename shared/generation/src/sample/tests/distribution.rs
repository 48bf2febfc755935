use crate::sample::{Sampler, Sampling};

const DRAWS: usize = 40_000;

/// How far the counts of many draws are from what is expected, as chi-square; every token of `expected` is drawn from the same logits.
fn chi_square(sampling: &Sampling, logits: &[f32], expected: &[f64]) -> f64 {
    let mut counts = vec![0.0; logits.len()];
    let mut sampler = Sampler::new(sampling.clone(), 11, &[]);
    for _ in 0..DRAWS {
        counts[sampler.choose(&mut logits.to_vec(), None).unwrap().token as usize] += 1.0;
    }
    let mut total = 0.0;
    for (count, share) in counts.iter().zip(expected) {
        if *share == 0.0 {
            assert!(*count < 1.0, "a token outside the set was drawn");
        } else {
            let mean = share * DRAWS as f64;
            total += (count - mean) * (count - mean) / mean;
        }
    }
    total
}

fn shares(logits: &[f32], temperature: f64, kept: &[usize]) -> Vec<f64> {
    let weight = |token: usize| (f64::from(logits[token]) / temperature).exp();
    let total: f64 = kept.iter().map(|&token| weight(token)).sum();
    (0..logits.len()).map(|token| if kept.contains(&token) { weight(token) / total } else { 0.0 }).collect()
}

/// 100 tokens, two blocks of logits, probabilities that go from one another by a factor of 20.
fn small() -> Vec<f32> {
    (0..100).map(|token| ((token * 61) % 100) as f32 * 0.03).collect()
}

#[test]
fn draws_follow_the_distribution_of_the_logits() {
    // 99 degrees of freedom: one in a thousand is over 149.
    let all: Vec<usize> = (0..100).collect();
    for temperature in [0.5, 1.0, 1.7] {
        let sampling = Sampling { temperature: temperature as f32, ..Sampling::default() };
        let far = chi_square(&sampling, &small(), &shares(&small(), temperature, &all));
        assert!(far < 149.0, "{far} at {temperature}");
    }
}

#[test]
fn draws_follow_what_top_k_top_p_and_min_p_leave() {
    let logits = small();
    let mut order: Vec<usize> = (0..100).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    // 19 degrees of freedom: one in a thousand is over 44.
    let far = chi_square(&Sampling { top_k: 20, ..Sampling::default() }, &logits, &shares(&logits, 1.0, &order[..20]));
    assert!(far < 44.0, "{far}");
    let whole = shares(&logits, 1.0, &order);
    let kept = (1..100).find(|&kept| order[..kept].iter().map(|&token| whole[token]).sum::<f64>() >= 0.5).unwrap();
    let far = chi_square(&Sampling { top_p: 0.5, ..Sampling::default() }, &logits, &shares(&logits, 1.0, &order[..kept]));
    assert!(far < 60.0, "{far} of {kept}");
    let kept = order.iter().filter(|&&token| whole[token] >= 0.6001 * whole[order[0]]).count();
    let far = chi_square(&Sampling { min_p: 0.6001, ..Sampling::default() }, &logits, &shares(&logits, 1.0, &order[..kept]));
    assert!(far < 44.0, "{far} of {kept}");
}
