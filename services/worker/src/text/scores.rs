//! From logits to scores.

use crate::manifest::ScoreFunction;

/// The scores of one row of logits.
pub(crate) fn scores(logits: &[f32], function: ScoreFunction) -> Vec<f32> {
    match function {
        ScoreFunction::None => logits.to_vec(),
        ScoreFunction::Sigmoid => logits.iter().map(|&logit| sigmoid(logit)).collect(),
        ScoreFunction::Softmax => softmax(logits),
    }
}

/// Positive numbers that add up to 1. NaN is passed on, not hidden.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| (power / total) as f32).collect()
}

fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

/// The places of the `count` highest scores, the highest first; equal ones in their order. 0: of all.
pub(crate) fn highest(scores: &[f32], count: usize) -> Vec<usize> {
    let count = if count == 0 { scores.len() } else { count.min(scores.len()) };
    let falling = |&one: &usize, &other: &usize| scores[other].total_cmp(&scores[one]).then(one.cmp(&other));
    let mut places: Vec<usize> = (0..scores.len()).collect();
    // A vocabulary is long and few are wanted.
    if count > 0 && count < places.len() {
        places.select_nth_unstable_by(count - 1, falling);
    }
    places.truncate(count);
    places.sort_unstable_by(falling);
    places
}

/// The mean of rows, each with its weight; empty for no rows.
pub(crate) fn mean<'a>(rows: impl Iterator<Item = (&'a [f32], f64)>) -> Vec<f32> {
    let mut sums: Vec<f64> = Vec::new();
    let mut total = 0.0;
    for (row, weight) in rows {
        sums.resize(row.len(), 0.0);
        total += weight;
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) * weight);
    }
    sums.into_iter().map(|sum| (sum / total) as f32).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn large_logits_do_not_overflow() {
        let made = scores(&[1000.0, 1000.0, -1000.0], ScoreFunction::Softmax);
        assert_eq!(made, [0.5, 0.5, 0.0]);
        assert_eq!(scores(&[1000.0, -1000.0], ScoreFunction::Sigmoid), [1.0, 0.0]);
        assert_eq!(scores(&[1000.0], ScoreFunction::None), [1000.0]);
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden() {
        assert!(scores(&[f32::NAN, 1.0], ScoreFunction::Softmax).iter().all(|score| score.is_nan()));
    }

    #[test]
    fn the_mean_goes_by_the_weights() {
        assert_eq!(mean([(&[1.0, 0.0][..], 3.0), (&[5.0, 4.0][..], 1.0)].into_iter()), [2.0, 1.0]);
        assert!(mean(std::iter::empty()).is_empty());
    }

    proptest! {
        #[test]
        fn the_highest_are_those_that_sorting_finds(scores in prop::collection::vec(-3_i8..3, 0..40), count in 0_usize..50) {
            let scores: Vec<f32> = scores.into_iter().map(f32::from).collect();
            let mut sorted: Vec<usize> = (0..scores.len()).collect();
            sorted.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]));
            sorted.truncate(if count == 0 { scores.len() } else { count });
            prop_assert_eq!(highest(&scores, count), sorted);
        }

        #[test]
        fn probabilities_add_up_to_one(logits in prop::collection::vec(-50.0_f32..50.0, 1..20)) {
            let total: f32 = softmax(&logits).iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-5);
        }
    }
}
