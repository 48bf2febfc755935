//! The decoder's kernels: norms by the root of the mean square, gates, and attention to a cache of blocks.
#![expect(unsafe_code, reason = "calls into simd.cpp; each call says why it is sound")]

use std::ops::Range;

use super::{
    Activation,
    rows::{Lines, Part, PartMut, Shared},
    simd::Simd,
};

/// Tokens in a block of the cache (cached.h).
pub(crate) const TOKENS_OF_BLOCK: usize = 32;

#[repr(C)]
pub(super) struct RootNorm {
    from: *const f32,
    from_stride: usize,
    to: *mut f32,
    to_stride: usize,
    count: usize,
    size: usize,
    weight: *const f32,
    epsilon: f32,
}

#[repr(C)]
pub(super) struct Gate {
    rows: *mut f32,
    by: *const f32,
    stride: usize,
    count: usize,
    columns: usize,
    activation: u32,
}

#[repr(C)]
pub(super) struct Cached {
    query: *const f32,
    query_stride: usize,
    out: *mut f32,
    out_stride: usize,
    rows: usize,
    group: usize,
    size: usize,
    blocks: *const u32,
    keys: *const f32,
    keys_stride: usize,
    values: *const f32,
    values_stride: usize,
    before: usize,
    window: usize,
    cap: f32,
    scratch: *mut f32,
}

/// What one head of keys and values is asked: the newest rows of a sequence, by the heads of queries that share it.
#[derive(Clone, Copy)]
pub(crate) struct Sequence<'a> {
    /// The sequence's blocks, in order.
    pub(crate) blocks: &'a [u32],
    /// All blocks' keys: [blocks, heads, [`TOKENS_OF_BLOCK`] × size], as [`Simd::keep_key`] wrote them.
    pub(crate) keys: &'a [f32],
    /// All blocks' values: [blocks, heads, [`TOKENS_OF_BLOCK`], [`Simd::value_width`]].
    pub(crate) values: &'a [f32],
    /// Which head of keys and values, of how many.
    pub(crate) head: usize,
    /// See `head`.
    pub(crate) heads: usize,
    /// Values in a head.
    pub(crate) size: usize,
    /// Heads of queries that share this head.
    pub(crate) group: usize,
    /// Tokens in front of the first row.
    pub(crate) before: usize,
    /// How many tokens a row sees at most.
    pub(crate) window: Option<usize>,
    /// What holds the scores.
    pub(crate) cap: Option<f32>,
}

impl Simd {
    /// Each row of `from`, divided by the root of the mean of its squares and multiplied by `weight`, to `to`.
    pub(crate) fn normalise_by_root(self, from: Part<'_>, weight: &[f32], epsilon: f32, to: &mut PartMut<'_>) {
        assert!(from.width == to.width && from.count == to.count && weight.len() == to.width, "a norm's shapes");
        let norm = RootNorm {
            from: from.values.as_ptr(),
            from_stride: from.stride,
            to: to.values.as_mut_ptr(),
            to_stride: to.stride,
            count: to.count,
            size: to.width,
            weight: weight.as_ptr(),
            epsilon,
        };
        // SAFETY: it touches `size` values of `count` whole rows of both, and of the weight, checked above.
        unsafe { (self.table.normalise_by_root)(&raw const norm) };
    }

    /// One row in place.
    pub(crate) fn normalise_row_by_root(self, row: &mut [f32], weight: &[f32], epsilon: f32) {
        assert_eq!(row.len(), weight.len(), "a norm's shapes");
        let to = row.as_mut_ptr();
        let norm = RootNorm { from: to, from_stride: 0, to, to_stride: 0, count: 1, size: row.len(), weight: weight.as_ptr(), epsilon };
        // SAFETY: as above; it may be in place.
        unsafe { (self.table.normalise_by_root)(&raw const norm) };
    }

    /// `rows` = activation(`rows`) × `by` for some of the columns, whole panels but for the last. Threads that share both have columns of their own each.
    pub(crate) fn gate(self, columns: Range<usize>, activation: Activation, rows: &Shared<'_>, by: &Shared<'_>) {
        assert!(rows.width == by.width && rows.count == by.count && rows.stride == by.stride, "a gate's shapes");
        assert!(columns.end <= rows.width && columns.start.is_multiple_of(self.panel()), "whole panels");
        if columns.is_empty() || rows.count == 0 {
            return;
        }
        let gate = Gate {
            rows: rows.from(columns.start),
            by: by.from(columns.start),
            stride: rows.stride,
            count: rows.count,
            columns: columns.len(),
            activation: activation.code(),
        };
        // SAFETY: both have `count` whole rows with room for whole panels (`rows`), and nobody else touches these columns.
        unsafe { (self.table.gate)(&raw const gate) };
    }

    /// How long a row of values is in the cache, where a head has `size`.
    pub(crate) fn value_width(self, size: usize) -> usize {
        self.panels(size)
    }

    /// Writes the key of the block's token `slot` into its place.
    pub(crate) fn keep_key(self, key: &[f32], slot: usize, keys: &mut [f32]) {
        let panel = self.panel();
        assert!(slot < TOKENS_OF_BLOCK && keys.len() == TOKENS_OF_BLOCK * key.len(), "a key's place");
        let to = &mut keys[slot / panel * panel * key.len() + slot % panel..];
        for (value, to) in key.iter().zip(to.iter_mut().step_by(panel)) {
            *to = *value;
        }
    }

    /// What the queries of `rows` in `query` take of a sequence, to the same places of `out`: `group` heads of `size` values each, side by side at the
    /// place of the head. `scratch` is the calling thread's; threads that share `out` have rows or heads of their own each.
    pub(crate) fn attend_to_cache(
        self,
        sequence: Sequence<'_>,
        rows: Range<usize>,
        query: Part<'_>,
        scratch: &mut Lines,
        out: &Shared<'_>,
    ) {
        let Sequence { blocks, keys, values, head, heads, size, group, before, window, cap } = sequence;
        let (tokens, width, column) = (before + rows.len(), group * size, head * group * size);
        assert!(rows.end <= query.count && rows.end <= out.count && head < heads, "attention's rows");
        assert!(column + width <= query.width.min(out.width), "attention's columns");
        let (keys_of_head, values_of_head) = (TOKENS_OF_BLOCK * size, TOKENS_OF_BLOCK * self.value_width(size));
        let (keys_stride, values_stride) = (heads * keys_of_head, heads * values_of_head);
        let seen = &blocks[..tokens.div_ceil(TOKENS_OF_BLOCK)];
        let most = seen.iter().max().map_or(0, |&block| block as usize + 1);
        assert!(most * keys_stride <= keys.len() && most * values_stride <= values.len(), "the cache's blocks");
        if rows.is_empty() || width == 0 {
            return;
        }
        // SAFETY: it only computes.
        scratch.grow(unsafe { (self.table.cached_room)(rows.len(), group, size, tokens) });
        let cached = Cached {
            query: query.values[rows.start * query.stride + column..].as_ptr(),
            query_stride: query.stride,
            out: out.at(rows.start, column),
            out_stride: out.stride,
            rows: rows.len(),
            group,
            size,
            blocks: seen.as_ptr(),
            keys: keys[head * keys_of_head..].as_ptr(),
            keys_stride,
            values: values[head * values_of_head..].as_ptr(),
            values_stride,
            before,
            window: window.unwrap_or(0),
            cap: cap.unwrap_or(0.0),
            scratch: scratch.as_mut_slice().as_mut_ptr(),
        };
        // SAFETY: queries and answers have the rows and columns (checked above), which nobody else writes; the blocks hold all tokens that are seen, in the
        // form of these kernels; the scratch is as large as it asked for.
        unsafe { (self.table.attend_to_cache)(&raw const cached) };
    }
}
