//! What full blocks hold: a tree of blocks, found by scope, the block in front, and the tokens.
//!
//! A find compares the tokens themselves, so that no hash, however hostile the prompts, ever gives a tenant another's block.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;

/// The serial in front of a sequence's first block.
pub(super) const START: u64 = 0;

pub(super) struct Names {
    block_tokens: usize,
    /// By block.
    of_block: Vec<Option<Name>>,
    /// By block, `block_tokens` each; of meaning where the block has a name.
    tokens: Vec<u32>,
    by_content: HashTable<u32>,
    hasher: RandomState,
    last_serial: u64,
}

struct Name {
    hash: u64,
    /// Never given twice, so that a child cannot take a later block with the same number for its parent.
    serial: u64,
    parent: u64,
    scope: Arc<str>,
}

impl Names {
    pub(super) fn new(blocks: usize, block_tokens: usize) -> Self {
        Self {
            block_tokens,
            of_block: std::iter::repeat_with(|| None).take(blocks).collect(),
            tokens: vec![0; blocks * block_tokens],
            by_content: HashTable::new(),
            hasher: RandomState::new(),
            last_serial: START,
        }
    }

    /// The block that holds `content` behind the block `parent`.
    pub(super) fn find(&self, scope: &str, parent: u64, content: &[u32]) -> Option<u32> {
        let hash = self.hasher.hash_one((scope, parent, content));
        self.by_content.find(hash, |&block| self.is(block, scope, parent, content)).copied()
    }

    fn is(&self, block: u32, scope: &str, parent: u64, content: &[u32]) -> bool {
        let name = self.of_block[block as usize].as_ref();
        name.is_some_and(|name| name.parent == parent && &*name.scope == scope) && self.content(block) == content
    }

    fn content(&self, block: u32) -> &[u32] {
        &self.tokens[block as usize * self.block_tokens..][..self.block_tokens]
    }

    pub(super) fn has(&self, block: u32) -> bool {
        self.of_block[block as usize].is_some()
    }

    /// What a named block is called as a parent.
    pub(super) fn serial(&self, block: u32) -> u64 {
        self.of_block[block as usize].as_ref().map_or(START, |name| name.serial)
    }

    /// Names a block that has no name, by content that no other has.
    pub(super) fn insert(&mut self, block: u32, scope: &Arc<str>, parent: u64, content: &[u32]) {
        let hash = self.hasher.hash_one((&**scope, parent, content));
        self.last_serial += 1;
        self.of_block[block as usize] = Some(Name { hash, serial: self.last_serial, parent, scope: scope.clone() });
        self.tokens[block as usize * self.block_tokens..][..self.block_tokens].copy_from_slice(content);
        let names = &self.of_block;
        self.by_content.insert_unique(hash, block, |&block| names[block as usize].as_ref().map_or(0, |name| name.hash));
    }

    /// Takes a block's name away.
    pub(super) fn remove(&mut self, block: u32) {
        let Some(name) = self.of_block[block as usize].take() else { return };
        if let Ok(entry) = self.by_content.find_entry(name.hash, |&other| other == block) {
            entry.remove();
        }
    }

    /// The serial in front of a named block.
    #[cfg(test)]
    pub(super) fn parent(&self, block: u32) -> Option<u64> {
        self.of_block[block as usize].as_ref().map(|name| name.parent)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_content.len()
    }
}
