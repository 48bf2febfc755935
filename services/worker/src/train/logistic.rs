//! Logistic regression with several labels: full gradients with momentum, in double precision, so that the same examples give the same weights.

/// Rounds over all examples.
const ROUNDS: usize = 600;
/// The share of the squared weights in the loss of one example. Vectors of length 1 need large weights.
const PENALTY: f64 = 1e-4;
/// How far a step goes. The loss of vectors of length 1 curves by a half at most, so that this is safe.
const STEP: f64 = 1.8;

/// A vector with its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    /// Its values, of length 1.
    pub(super) vector: Vec<f32>,
    /// Its label's place.
    pub(super) label: usize,
    /// Whether it is kept from the training.
    pub(super) held_out: bool,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    /// A row for each label.
    pub(super) weight: Vec<Vec<f32>>,
    /// A number for each label.
    pub(super) bias: Vec<f32>,
}

impl Model {
    /// The label with the highest logit.
    pub(super) fn predict(&self, vector: &[f32]) -> usize {
        let logit = |label: usize| dot(&self.weight[label], vector) + f64::from(self.bias[label]);
        (1..self.bias.len()).fold(0, |best, label| if logit(label) > logit(best) { label } else { best })
    }
}

fn dot(weight: &[f32], vector: &[f32]) -> f64 {
    weight.iter().zip(vector).map(|(weight, value)| f64::from(*weight) * f64::from(*value)).sum()
}

/// Fits a model of `labels` labels. The examples must not be empty.
pub(super) fn fit(examples: &[Example], labels: usize) -> Model {
    let dim = examples.first().map_or(0, |example| example.vector.len());
    // One row a label, the bias behind the weights.
    let (mut weights, mut before) = (vec![vec![0.0_f64; dim + 1]; labels], vec![vec![0.0_f64; dim + 1]; labels]);
    for round in 0..ROUNDS {
        // Nesterov's momentum.
        let momentum = round as f64 / (round as f64 + 3.0);
        let ahead: Vec<Vec<f64>> = weights.iter().zip(&before).map(|(now, before)| lead(now, before, momentum)).collect();
        let gradient = gradient(examples, &ahead);
        before = weights;
        weights = ahead.iter().zip(&gradient).map(|(row, slope)| row.iter().zip(slope).map(|(w, g)| w - STEP * g).collect()).collect();
    }
    let row = |row: &Vec<f64>| row[..dim].iter().map(|value| *value as f32).collect();
    Model { weight: weights.iter().map(row).collect(), bias: weights.iter().map(|row| row[dim] as f32).collect() }
}

fn lead(now: &[f64], before: &[f64], momentum: f64) -> Vec<f64> {
    now.iter().zip(before).map(|(now, before)| now + momentum * (now - before)).collect()
}

fn gradient(examples: &[Example], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let dim = weights[0].len() - 1;
    let mut sums: Vec<Vec<f64>> = weights.iter().map(|row| row[..dim].iter().map(|w| w * PENALTY).chain([0.0]).collect()).collect();
    let share = 1.0 / examples.len() as f64;
    for example in examples {
        for (label, probability) in probabilities(&example.vector, weights).into_iter().enumerate() {
            let slope = (probability - f64::from(u8::from(label == example.label))) * share;
            let row = &mut sums[label];
            row.iter_mut().zip(&example.vector).for_each(|(sum, value)| *sum += slope * f64::from(*value));
            row[dim] += slope;
        }
    }
    sums
}

fn probabilities(vector: &[f32], weights: &[Vec<f64>]) -> Vec<f64> {
    let logit = |row: &Vec<f64>| row.iter().zip(vector).map(|(weight, value)| weight * f64::from(*value)).sum::<f64>() + row[vector.len()];
    let logits: Vec<f64> = weights.iter().map(logit).collect();
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a circle, a third of it for each label.
    fn circle(count: usize) -> Vec<Example> {
        let example = |at: usize| {
            let angle = at as f32 / count as f32 * std::f32::consts::TAU;
            Example { vector: vec![angle.cos(), angle.sin()], label: at * 3 / count, held_out: false }
        };
        (0..count).map(example).collect()
    }

    #[test]
    fn labels_that_lines_can_part_are_learnt() {
        let examples = circle(90);
        let model = fit(&examples, 3);
        let wrong = examples.iter().filter(|example| model.predict(&example.vector) != example.label).count();
        assert!(wrong <= 2, "{wrong} of 90 are wrong");
    }

    #[test]
    fn the_same_examples_give_the_same_weights() {
        assert_eq!(fit(&circle(30), 3), fit(&circle(30), 3));
    }
}
