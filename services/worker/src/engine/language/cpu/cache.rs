//! The keys and values of everything that was read, in blocks.

use crate::engine::kernels::{Lines, Sequence, Simd, TOKENS_OF_BLOCK};

/// One layer's cache.
#[derive(Debug)]
pub(super) struct Cache {
    simd: Simd,
    heads: usize,
    size: usize,
    keys: Lines,
    values: Lines,
}

impl Cache {
    /// Bytes of one block.
    pub(super) fn block_bytes(simd: Simd, heads: usize, size: usize) -> usize {
        TOKENS_OF_BLOCK * heads * (size + simd.value_width(size)) * size_of::<f32>()
    }

    /// Room for `blocks`.
    pub(super) fn new(simd: Simd, blocks: usize, heads: usize, size: usize) -> Self {
        let tokens = blocks * TOKENS_OF_BLOCK * heads;
        Self { simd, heads, size, keys: Lines::zeros(tokens * size), values: Lines::zeros(tokens * simd.value_width(size)) }
    }

    /// Writes one token's key and value of one head, as they are, to slot `slot` of a block.
    pub(super) fn keep(&mut self, block: u32, slot: usize, head: usize, key: &[f32], value: &[f32]) {
        let place = block as usize * self.heads + head;
        let keys = TOKENS_OF_BLOCK * self.size;
        self.simd.keep_key(key, slot, &mut self.keys.as_mut_slice()[place * keys..][..keys]);
        let width = self.simd.value_width(self.size);
        self.values.as_mut_slice()[(place * TOKENS_OF_BLOCK + slot) * width..][..value.len()].copy_from_slice(value);
    }

    /// What a head asks of a sequence in these blocks, `before` tokens in front of it.
    pub(super) fn sequence<'a>(&'a self, blocks: &'a [u32], before: usize, head: usize, group: usize) -> Sequence<'a> {
        Sequence {
            blocks,
            keys: self.keys.as_slice(),
            values: self.values.as_slice(),
            head,
            heads: self.heads,
            size: self.size,
            group,
            before,
            window: None,
            cap: None,
        }
    }
}
