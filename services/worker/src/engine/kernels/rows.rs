//! The memory that the kernels work in.
#![expect(unsafe_code, reason = "lines of values are seen as values, and rows are lent to several threads")]

use std::{
    alloc::{self, Layout},
    marker::PhantomData,
    ops::Range,
};

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

/// Rows that several threads write at once, each in places of its own: which ones is up to whoever hands them out, and every function that takes this
/// says what its caller alone may touch meanwhile.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    values: *mut f32,
    length: usize,
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) width: usize,
    lent: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a pointer with its bounds; nothing is read or written through it but by the kernels, whose callers keep to places of their own.
unsafe impl Sync for Shared<'_> {}
// SAFETY: as above.
unsafe impl Send for Shared<'_> {}

impl Shared<'_> {
    /// Where the columns from `column` on begin in the first row.
    pub(super) fn from(&self, column: usize) -> *mut f32 {
        assert!(column < self.stride && column <= self.length, "a column of the row");
        // SAFETY: it is inside of what was lent.
        unsafe { self.values.add(column) }
    }

    /// One row from `column` on.
    pub(super) fn at(&self, row: usize, column: usize) -> *mut f32 {
        assert!(row < self.count && column < self.width, "a place in the rows");
        // SAFETY: as above.
        unsafe { self.values.add(row * self.stride + column) }
    }
}

impl PartMut<'_> {
    /// The same for several threads.
    pub(crate) fn shared(&mut self) -> Shared<'_> {
        Shared {
            values: self.values.as_mut_ptr(),
            length: self.values.len(),
            stride: self.stride,
            count: self.count,
            width: self.width,
            lent: PhantomData,
        }
    }
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

#[derive(Debug)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Lines {
    /// `count` zeros, filled up to whole lines. Of a large number the system hands out what is written to, as it is written to.
    pub(crate) fn zeros(count: usize) -> Self {
        let lines = count.div_ceil(16);
        let layout = Layout::array::<Line>(lines).expect("a size that memory can have");
        if layout.size() == 0 {
            return Self::default();
        }
        // SAFETY: the layout is not empty, and is that of a slice of so many lines; all zeros are lines of zeros.
        unsafe {
            let memory = alloc::alloc_zeroed(layout);
            if memory.is_null() {
                alloc::handle_alloc_error(layout);
            }
            Self(Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory.cast(), lines)).into_vec())
        }
    }

    /// Makes room for `count` values; what was there is lost.
    pub(super) fn grow(&mut self, count: usize) {
        if self.0.len() < count.div_ceil(16) {
            *self = Self::zeros(count);
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: a line is 16 values without anything between or behind them.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}
