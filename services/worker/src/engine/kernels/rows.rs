//! The memory that the kernels work in.
#![expect(unsafe_code, reason = "lines of values are seen as values")]

use std::ops::Range;

/// Rows of values, each with room behind its width that kernels may write and nobody reads.
#[derive(Debug)]
pub(crate) struct Rows {
    values: Lines,
    stride: usize,
    count: usize,
    width: usize,
}

/// Some of [`Rows`].
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) width: usize,
}

/// Some of [`Rows`], to be written.
pub(crate) struct PartMut<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) width: usize,
}

impl Rows {
    /// `count` rows of `width` values, `stride` apart, all zero.
    pub(super) fn zeros(count: usize, width: usize, stride: usize) -> Self {
        Self { values: Lines::zeros(count * stride), stride, count, width }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The rows of `range`.
    pub(crate) fn part(&self, range: Range<usize>) -> Part<'_> {
        let count = range.len();
        let values = &self.values.as_slice()[range.start * self.stride..range.end * self.stride];
        Part { values, stride: self.stride, count, width: self.width }
    }

    /// The rows of `range`, to be written.
    pub(crate) fn part_mut(&mut self, range: Range<usize>) -> PartMut<'_> {
        let count = range.len();
        let values = &mut self.values.as_mut_slice()[range.start * self.stride..range.end * self.stride];
        PartMut { values, stride: self.stride, count, width: self.width }
    }

    /// One row.
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values.as_slice()[index * self.stride..][..self.width]
    }

    /// One row, to be written.
    pub(crate) fn row_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.values.as_mut_slice()[index * self.stride..][..self.width]
    }
}

/// Values in whole cache lines: a vector that lies across two of them is read at half the speed.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<Line>);

#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Lines {
    /// `count` zeros, filled up to whole lines.
    pub(super) fn zeros(count: usize) -> Self {
        Self(vec![Line([0.0; 16]); count.div_ceil(16)])
    }

    /// Makes room for `count` values; what was there is lost.
    pub(super) fn grow(&mut self, count: usize) {
        if self.0.len() < count.div_ceil(16) {
            *self = Self::zeros(count);
        }
    }

    pub(super) fn as_slice(&self) -> &[f32] {
        // SAFETY: a line is 16 values without anything between or behind them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}
