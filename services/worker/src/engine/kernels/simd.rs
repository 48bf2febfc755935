//! Our own kernels (simd.cpp), for the widest instruction set of this processor: what encoder and decoder share, and the encoder's.
//!
//! They run at what the processor's multipliers give at most, from one row to thousands, where a library's are made for many rows: the weight
//! is packed once, and what follows a product (bias, activation, what is added) is done while its tile is near.
//!
//! Everything is checked here, so that no call can read or write outside its slices.
#![expect(unsafe_code, reason = "calls into simd.cpp; each call says why it is sound")]

use std::ops::Range;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(any(test, fuzzing))]
mod reference;
#[cfg(test)]
mod tests;

use super::{
    Activation,
    decoding::{Cached, Gate, RootNorm},
    rows::{Lines, Part, PartMut, Rows, Shared},
};

/// What simd.cpp offers for one instruction set.
#[repr(C)]
pub(super) struct Table {
    panel: usize,
    pack: unsafe extern "C" fn(*const f32, usize, usize, *mut f32),
    pack_brief: unsafe extern "C" fn(*const f32, usize, usize, *mut f32),
    multiply: unsafe extern "C" fn(*const Product),
    multiply_brief: Option<unsafe extern "C" fn(*const Product)>,
    attention_room: unsafe extern "C" fn(usize, usize) -> usize,
    attend: unsafe extern "C" fn(*const Attention),
    normalise: unsafe extern "C" fn(*const Norm),
    pub(super) normalise_by_root: unsafe extern "C" fn(*const RootNorm),
    pub(super) gate: unsafe extern "C" fn(*const Gate),
    pub(super) cached_room: unsafe extern "C" fn(usize, usize, usize, usize) -> usize,
    pub(super) attend_to_cache: unsafe extern "C" fn(*const Cached),
    pack_bytes: unsafe extern "C" fn(*const f32, usize, usize, *mut f32, *mut f32),
    multiply_bytes: unsafe extern "C" fn(*const Product),
    nibble_words: unsafe extern "C" fn(usize) -> usize,
    nibble_room: unsafe extern "C" fn(usize, usize) -> usize,
    pack_nibbles: unsafe extern "C" fn(*const f32, usize, usize, *mut f32),
    multiply_nibbles: unsafe extern "C" fn(*const Product),
}

#[repr(C)]
struct Product {
    left: *const f32,
    left_stride: usize,
    right: *const f32,
    bias: *const f32,
    add: *const f32,
    add_stride: usize,
    out: *mut f32,
    out_stride: usize,
    rows: usize,
    columns: usize,
    depth: usize,
    activation: u32,
    scratch: *mut u16,
    scale: *const f32,
}

#[repr(C)]
struct Attention {
    mixed: *const f32,
    mixed_stride: usize,
    out: *mut f32,
    out_stride: usize,
    length: usize,
    heads: usize,
    size: usize,
    near: *const f32,
    near_stride: usize,
    scratch: *mut f32,
}

#[repr(C)]
struct Norm {
    rows: *mut f32,
    stride: usize,
    count: usize,
    size: usize,
    weight: *const f32,
    bias: *const f32,
    epsilon: f32,
}

unsafe extern "C" {
    static torchmesh_kernels_plain: Table;
    #[cfg(target_arch = "x86_64")]
    static torchmesh_kernels_avx2: Table;
    #[cfg(target_arch = "x86_64")]
    static torchmesh_kernels_avx512: Table;
    #[cfg(target_arch = "x86_64")]
    static torchmesh_kernels_avx512_bf16: Table;
}

/// The kernels of one instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Simd {
    /// For the log.
    pub(crate) name: &'static str,
    pub(super) table: &'static Table,
}

impl std::fmt::Debug for Simd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Simd {
    /// Those of the widest instruction set.
    pub(crate) fn best() -> Self {
        Self::usable().remove(0)
    }

    /// All that this processor can run, the widest first.
    pub(crate) fn usable() -> Vec<Self> {
        // SAFETY: the tables are constants, which nothing writes.
        let plain = Self { name: "plain", table: unsafe { &torchmesh_kernels_plain } };
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            // SAFETY: as above.
            let tables = unsafe { [&torchmesh_kernels_avx512_bf16, &torchmesh_kernels_avx512, &torchmesh_kernels_avx2] };
            let [brief, wide, narrow] = tables;
            let of_x86 = [
                (avx512 && has!("avx512bf16"), Self { name: "avx512_bf16", table: brief }),
                (avx512, Self { name: "avx512", table: wide }),
                (avx2, Self { name: "avx2", table: narrow }),
            ];
            of_x86.into_iter().filter_map(|(usable, simd)| usable.then_some(simd)).chain([plain]).collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![plain]
    }

    /// Whether it multiplies `BF16` values.
    pub(crate) fn multiplies_bf16(self) -> bool {
        self.table.multiply_brief.is_some()
    }

    /// Columns of a packed weight that lie together.
    pub(super) fn panel(self) -> usize {
        self.table.panel
    }

    /// `columns`, filled up to whole panels.
    pub(super) fn panels(self, columns: usize) -> usize {
        columns.div_ceil(self.table.panel) * self.table.panel
    }

    /// Room for `count` rows of `width` values, all zero.
    pub(crate) fn rows(self, count: usize, width: usize) -> Rows {
        // Kernels write whole panels, and attention a panel beyond.
        let stride = self.panels(width) + self.panels(1);
        Rows::zeros(count, width, stride)
    }

    /// Packs a weight ([columns, depth]) with its bias ([columns]); `brief` rounds the weight to `BF16`, for a processor that multiplies those.
    pub(crate) fn pack(self, weight: &[f32], bias: &[f32], brief: bool) -> Weight {
        let (columns, depth) = (bias.len(), weight.len() / bias.len().max(1));
        assert_eq!(weight.len(), columns * depth, "a weight of {columns} columns");
        let brief = brief && self.multiplies_bf16();
        let steps = if brief { depth.div_ceil(2) } else { depth };
        let mut values = Lines::zeros(self.panels(columns) * steps);
        let mut padded = Lines::zeros(self.panels(columns));
        padded.as_mut_slice()[..columns].copy_from_slice(bias);
        let pack = if brief { self.table.pack_brief } else { self.table.pack };
        // SAFETY: it reads columns × depth values, checked above, and writes ⌈columns / panel⌉ panels of `steps` words.
        unsafe { pack(weight.as_ptr(), columns, depth, values.as_mut_slice().as_mut_ptr()) };
        let held = if brief { Held::Brief } else { Held::Single };
        Weight { simd: self, values, scales: Lines::default(), bias: padded, columns, depth, held }
    }

    /// The same as whole numbers of one byte, with a scale for each column.
    pub(crate) fn pack_bytes(self, weight: &[f32], bias: &[f32]) -> Weight {
        let (columns, depth) = (bias.len(), weight.len() / bias.len().max(1));
        assert_eq!(weight.len(), columns * depth, "a weight of {columns} columns");
        let mut values = Lines::zeros((self.panels(columns) * depth).div_ceil(4));
        let [mut padded, mut scales] = [0; 2].map(|_| Lines::zeros(self.panels(columns)));
        padded.as_mut_slice()[..columns].copy_from_slice(bias);
        let (to, to_scales) = (values.as_mut_slice().as_mut_ptr(), scales.as_mut_slice().as_mut_ptr());
        // SAFETY: it reads columns × depth values, checked above, and writes ⌈columns / panel⌉ panels of `depth` rows of bytes, and `columns` scales.
        unsafe { (self.table.pack_bytes)(weight.as_ptr(), columns, depth, to, to_scales) };
        Weight { simd: self, values, scales, bias: padded, columns, depth, held: Held::Byte }
    }

    /// The same as whole numbers of four bits, with a scale for each 32 of a column.
    pub(crate) fn pack_nibbles(self, weight: &[f32], bias: &[f32]) -> Weight {
        let (columns, depth) = (bias.len(), weight.len() / bias.len().max(1));
        assert_eq!(weight.len(), columns * depth, "a weight of {columns} columns");
        // SAFETY: it only computes.
        let words = unsafe { (self.table.nibble_words)(depth) };
        let mut values = Lines::zeros(self.panels(columns) * words);
        let mut padded = Lines::zeros(self.panels(columns));
        padded.as_mut_slice()[..columns].copy_from_slice(bias);
        // SAFETY: it reads columns × depth values, checked above, and writes `columns` columns of so many words.
        unsafe { (self.table.pack_nibbles)(weight.as_ptr(), columns, depth, values.as_mut_slice().as_mut_ptr()) };
        Weight { simd: self, values, scales: Lines::default(), bias: padded, columns, depth, held: Held::Nibble }
    }

    /// Self-attention of one text to itself: `mixed` [length, 3 × heads × size], the queries scaled already, to `out` [length, heads × size].
    pub(crate) fn attend(self, mixed: Part<'_>, heads: usize, near: Option<Nearness<'_>>, scratch: &mut Lines, out: &mut PartMut<'_>) {
        let (length, size) = (mixed.count, out.width / heads);
        assert!(mixed.width == 3 * heads * size && out.width == heads * size && out.count == length, "attention's shapes");
        if length == 0 {
            return;
        }
        let span = near.map_or(0, |near| (2 * near.reach).saturating_sub(1));
        assert!(near.is_none_or(|near| length <= near.reach && near.values.len() == heads * span), "a text within reach");
        // SAFETY: it only computes.
        scratch.grow(unsafe { (self.table.attention_room)(length, size) });
        let attention = Attention {
            mixed: mixed.values.as_ptr(),
            mixed_stride: mixed.stride,
            out: out.values.as_mut_ptr(),
            out_stride: out.stride,
            length,
            heads,
            size,
            // The first head's number for a token and itself.
            near: near.map_or(std::ptr::null(), |near| near.values[near.reach - 1..].as_ptr()),
            near_stride: span,
            scratch: scratch.as_mut_slice().as_mut_ptr(),
        };
        // SAFETY: both have `length` whole rows, each a panel longer than its width (`rows`), and the scratch is as large as it asked for. Where there is
        // nearness, each head has `length - 1` numbers on both sides of the one that is pointed to.
        unsafe { (self.table.attend)(&raw const attention) };
    }

    /// Normalises each row, in place.
    pub(crate) fn normalise(self, rows: &mut PartMut<'_>, weight: &[f32], bias: &[f32], epsilon: f32) {
        assert!(weight.len() == rows.width && bias.len() == rows.width, "a norm's shapes");
        let norm = Norm {
            rows: rows.values.as_mut_ptr(),
            stride: rows.stride,
            count: rows.count,
            size: rows.width,
            weight: weight.as_ptr(),
            bias: bias.as_ptr(),
            epsilon,
        };
        // SAFETY: it touches `size` values of `count` whole rows, and of weight and bias, checked above.
        unsafe { (self.table.normalise)(&raw const norm) };
    }
}

/// What is added to attention's scores for the distance of two tokens.
#[derive(Clone, Copy)]
pub(crate) struct Nearness<'a> {
    /// [heads, 2 × reach - 1]: from the key that is `reach - 1` tokens before the query to the one that is as many behind it.
    pub(crate) values: &'a [f32],
    /// How many tokens a text has at most.
    pub(crate) reach: usize,
}

/// A packed weight with its bias.
#[derive(Debug)]
pub(crate) struct Weight {
    simd: Simd,
    values: Lines,
    /// Of the columns; empty where the values are held as they are.
    scales: Lines,
    bias: Lines,
    columns: usize,
    depth: usize,
    held: Held,
}

/// What a packed weight's values are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    /// Single precision.
    Single,
    /// The upper half of it, two steps in a word.
    Brief,
    /// Whole numbers of one byte.
    Byte,
    /// Whole numbers of four bits, column by column, each with its scales behind it.
    Nibble,
}

/// Steps that share a scale where numbers have four bits.
const GROUP: usize = 32;
/// What the zero of such a number is.
const NIBBLE_ZERO: i16 = 8;

impl Weight {
    /// `out` = activation(`left` × weightᵀ + bias) + `add`.
    pub(crate) fn multiply(
        &self,
        left: Part<'_>,
        activation: Activation,
        add: Option<Part<'_>>,
        scratch: &mut Lines,
        out: &mut PartMut<'_>,
    ) {
        self.multiply_columns(0..self.columns, left, activation, add, scratch, &out.shared());
    }

    /// The same for some of the columns, whole panels but for the last; the threads that share an answer have columns of their own each.
    pub(crate) fn multiply_columns(
        &self,
        columns: Range<usize>,
        left: Part<'_>,
        activation: Activation,
        add: Option<Part<'_>>,
        scratch: &mut Lines,
        out: &Shared<'_>,
    ) {
        assert!(left.width == self.depth && out.width == self.columns && left.count == out.count, "a product's shapes");
        assert!(add.is_none_or(|add| add.count == out.count && add.width == out.width && add.stride == out.stride), "what is added");
        let (panel, first) = (self.simd.table.panel, columns.start);
        let last = columns.end == self.columns || columns.end.is_multiple_of(panel);
        assert!(columns.end <= self.columns && first.is_multiple_of(panel) && last, "whole panels");
        if columns.is_empty() || left.count == 0 {
            return;
        }
        scratch.grow(self.scratch(left.count));
        let product = Product {
            left: left.values.as_ptr(),
            left_stride: left.stride,
            right: self.values.as_slice()[first / panel * self.words()..].as_ptr(),
            bias: self.bias.as_slice()[first..].as_ptr(),
            add: add.map_or(std::ptr::null(), |add| add.values[first..].as_ptr()),
            add_stride: out.stride,
            out: out.from(first),
            out_stride: out.stride,
            rows: left.count,
            columns: columns.len(),
            depth: self.depth,
            activation: activation.code(),
            scratch: scratch.as_mut_slice().as_mut_ptr().cast(),
            scale: self.scales.as_slice().get(first..).filter(|scales| !scales.is_empty()).map_or(std::ptr::null(), <[f32]>::as_ptr),
        };
        let table = self.simd.table;
        let multiply = match self.held {
            Held::Single => table.multiply,
            Held::Brief => table.multiply_brief.unwrap_or(table.multiply),
            Held::Byte => table.multiply_bytes,
            Held::Nibble => table.multiply_nibbles,
        };
        // SAFETY: the weight was packed by these kernels for its columns and `depth`, and what is pointed to begins with a panel; left, add and out have
        // `rows` whole rows of those widths and room for whole panels (`rows`); the scratch holds the left side as the weight wants it. Who shares
        // `out` writes other columns (`Shared`).
        unsafe { multiply(&raw const product) };
    }

    /// Words of four bytes that a product with so many rows writes aside.
    fn scratch(&self, rows: usize) -> usize {
        match self.held {
            Held::Single | Held::Byte => 0,
            Held::Brief => rows * self.depth.next_multiple_of(2) / 2,
            // SAFETY: it only computes.
            Held::Nibble => unsafe { (self.simd.table.nibble_room)(rows, self.depth) }.div_ceil(4),
        }
    }

    /// Words of four bytes in one panel.
    fn words(&self) -> usize {
        let panel = self.simd.table.panel;
        match self.held {
            Held::Single => panel * self.depth,
            Held::Brief => panel * self.depth.div_ceil(2),
            Held::Byte => panel / 4 * self.depth,
            // SAFETY: it only computes.
            Held::Nibble => panel * unsafe { (self.simd.table.nibble_words)(self.depth) },
        }
    }

    /// One column (a row of what was packed) to `to` [depth], as nearly as it is held.
    pub(crate) fn column(&self, column: usize, to: &mut [f32]) {
        assert!(column < self.columns && to.len() == self.depth, "a column's shape");
        let panel = self.simd.table.panel;
        let (words, at) = (&self.values.as_slice()[column / panel * self.words()..], column % panel);
        let byte_of = |byte: usize| words[byte / 4].to_bits().to_le_bytes()[byte % 4];
        for (step, value) in to.iter_mut().enumerate() {
            *value = match self.held {
                Held::Single => words[step * panel + at],
                Held::Brief => {
                    let pair = words[step / 2 * panel + at].to_bits();
                    f32::from_bits(if step % 2 == 0 { pair << 16 } else { pair & 0xffff_0000 })
                }
                Held::Byte => f32::from(byte_of(step * panel + at).cast_signed()) * self.scales.as_slice()[column],
                Held::Nibble => {
                    let (begin, group, half) = (at * self.words() / panel * 4, step / GROUP, GROUP / 2);
                    let both = byte_of(begin + group * half + step % half);
                    let number = i16::from(if step % GROUP < half { both & 15 } else { both >> 4 });
                    let scale = begin + self.depth.div_ceil(GROUP) * half + 2 * group;
                    let scale = f32::from_bits(u32::from_le_bytes([0, 0, byte_of(scale), byte_of(scale + 1)]));
                    f32::from(number - NIBBLE_ZERO) * scale
                }
            };
        }
    }

    /// The columns that the `member`-th of `members` threads multiplies: whole panels.
    pub(crate) fn share(&self, member: usize, members: usize) -> Range<usize> {
        let panel = self.simd.table.panel;
        let panels = self.columns.div_ceil(panel);
        let edge = |member: usize| (panels * member / members * panel).min(self.columns);
        edge(member)..edge(member + 1)
    }
}
