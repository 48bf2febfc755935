//! A norm, in the one of its two forms that the model has.

use std::ops::Range;

use crate::engine::{
    kernels::{Rows, Simd},
    language::{plan::NormKind, read},
};

#[derive(Debug)]
pub(super) struct Norm {
    weight: Vec<f32>,
    /// Empty: by the root of the mean square.
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    pub(super) fn new(norm: &read::Norm, kind: NormKind) -> Self {
        let (NormKind::Root { epsilon, .. } | NormKind::Layer { epsilon }) = kind;
        Self { weight: norm.weight.clone(), bias: norm.bias.clone(), epsilon: epsilon as f32 }
    }

    /// The rows of `range`, normalised, to the same rows of `to`.
    pub(super) fn apply(&self, simd: Simd, from: &Rows, range: Range<usize>, to: &mut Rows) {
        if self.bias.is_empty() {
            return simd.normalise_by_root(from.part(range.clone()), &self.weight, self.epsilon, &mut to.part_mut(range));
        }
        range.clone().for_each(|row| to.row_mut(row).copy_from_slice(from.row(row)));
        simd.normalise(&mut to.part_mut(range), &self.weight, &self.bias, self.epsilon);
    }

    /// One row in place; only for a norm without a bias.
    pub(super) fn apply_to_row(&self, simd: Simd, row: &mut [f32]) {
        simd.normalise_row_by_root(row, &self.weight, self.epsilon);
    }
}
