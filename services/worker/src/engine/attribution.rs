//! What a model's answer owes to each of its tokens, by integrated gradients.

use std::ops::Range;

use crate::manifest::PoolSettings;

/// A part of a way from a text that says nothing to a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// Token ids that the way begins at, as many as the text has.
    pub baseline: Vec<i64>,
    /// Which score of the model is explained.
    pub label: usize,
    /// Which steps of the way are walked.
    pub steps: Range<usize>,
    /// How many steps the whole way has; each is taken at its middle.
    pub of: usize,
}

/// How the explained score comes from what the network answers.
#[derive(Clone, Copy, Debug)]
pub enum Readout<'a> {
    /// It is one of the scores of the model's own head.
    Score(usize),
    /// It is a linear function of the pooled hidden state.
    Pooled {
        /// How token vectors become one.
        pool: PoolSettings,
        /// What the vector is multiplied by. What is added does not matter to a gradient.
        weight: &'a [f32],
    },
}
