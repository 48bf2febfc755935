//! The blocks of one sequence.

/// A sequence's blocks, in order. It is changed by the [`super::Pool`] alone, and emptied by it before it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) blocks: Vec<u32>,
    /// How many of them, from the first on, are full, named and read-only.
    pub(super) named: usize,
}

impl Table {
    /// The blocks' numbers.
    pub(crate) fn blocks(&self) -> &[u32] {
        &self.blocks
    }
}
