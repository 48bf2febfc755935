//! The blocks of a model's cache: whose they are, and what the full ones hold.
//!
//! A block is *used* while a sequence holds it, *cached* while nobody does and its content is known by name, and *empty* otherwise. Only full
//! blocks have a name, and only named blocks are held by two: what is shared is never written again, so no block ever has to be copied.

#[cfg(test)]
mod check;
mod idle;
mod names;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use idle::Idle;
use names::Names;
pub(crate) use table::Table;

/// All blocks of one model.
pub(crate) struct Pool {
    block_tokens: usize,
    /// How many sequences hold each block.
    holders: Vec<u32>,
    /// Blocks without content.
    empty: Vec<u32>,
    /// Named blocks that nobody holds, the longest unused first. Its order keeps children in front of their parents: whoever holds a block
    /// holds all before it, and lets go of them from the end.
    idle: Idle,
    names: Names,
}

impl Pool {
    /// `blocks` empty blocks for `block_tokens` tokens each.
    pub(crate) fn new(blocks: usize, block_tokens: usize) -> Self {
        Self {
            block_tokens,
            holders: vec![0; blocks],
            empty: (0..blocks as u32).rev().collect(),
            idle: Idle::new(blocks),
            names: Names::new(blocks, block_tokens),
        }
    }

    /// Tokens in one block.
    pub(crate) fn block_tokens(&self) -> usize {
        self.block_tokens
    }

    /// All blocks.
    pub(crate) fn size(&self) -> usize {
        self.holders.len()
    }

    /// Blocks that can be taken now.
    pub(crate) fn available(&self) -> usize {
        self.empty.len() + self.idle.len()
    }

    /// Blocks that sequences hold.
    pub(crate) fn used(&self) -> usize {
        self.size() - self.available()
    }

    /// Blocks that nobody holds and whose content can be used again.
    pub(crate) fn cached(&self) -> usize {
        self.idle.len()
    }

    /// Whether nobody holds this block.
    pub(crate) fn is_idle(&self, block: u32) -> bool {
        self.holders[block as usize] == 0
    }

    /// Puts into `found` the blocks that hold the longest beginning of `tokens`, in order.
    pub(crate) fn find(&self, scope: &str, tokens: &[u32], found: &mut Vec<u32>) {
        found.clear();
        let mut parent = names::START;
        for content in tokens.chunks_exact(self.block_tokens) {
            let Some(block) = self.names.find(scope, parent, content) else { return };
            parent = self.names.serial(block);
            found.push(block);
        }
    }

    /// Makes `blocks`, as [`Pool::find`] gave them, the beginning of an empty table.
    pub(crate) fn open(&mut self, table: &mut Table, blocks: &[u32]) {
        debug_assert!(table.blocks.is_empty(), "a table is opened once");
        for &block in blocks {
            self.hold(block);
        }
        table.blocks.extend_from_slice(blocks);
        table.named = blocks.len();
    }

    /// Makes the table long enough for so many tokens. False where there are not enough blocks; those that there were are in the table then.
    pub(crate) fn grow(&mut self, table: &mut Table, tokens: usize) -> bool {
        while table.blocks.len() * self.block_tokens < tokens {
            let Some(block) = self.take() else { return false };
            table.blocks.push(block);
        }
        true
    }

    /// Gives a name to each block of the table that is full, when `tokens` (all of them in the cache) are the sequence's beginning. A block whose
    /// content is there already is given back, and the other takes its place.
    pub(crate) fn settle(&mut self, table: &mut Table, scope: &Arc<str>, tokens: &[u32]) {
        while (table.named + 1) * self.block_tokens <= tokens.len() {
            let place = table.named;
            let parent = if place == 0 { names::START } else { self.names.serial(table.blocks[place - 1]) };
            let content = &tokens[place * self.block_tokens..][..self.block_tokens];
            let own = table.blocks[place];
            if let Some(other) = self.names.find(scope, parent, content) {
                self.hold(other);
                self.release(own);
                table.blocks[place] = other;
            } else {
                self.names.insert(own, scope, parent, content);
            }
            table.named += 1;
        }
    }

    /// Takes all blocks from a table.
    pub(crate) fn clear(&mut self, table: &mut Table) {
        while let Some(block) = table.blocks.pop() {
            self.release(block);
        }
        table.named = 0;
    }

    fn take(&mut self) -> Option<u32> {
        let block = self.empty.pop().or_else(|| self.evict())?;
        self.holders[block as usize] = 1;
        Some(block)
    }

    fn evict(&mut self) -> Option<u32> {
        let block = self.idle.pop_oldest()?;
        self.names.remove(block);
        Some(block)
    }

    fn hold(&mut self, block: u32) {
        if self.is_idle(block) {
            self.idle.remove(block);
        }
        self.holders[block as usize] += 1;
    }

    fn release(&mut self, block: u32) {
        self.holders[block as usize] -= 1;
        if !self.is_idle(block) {
            return;
        }
        if self.names.has(block) {
            self.idle.push(block);
        } else {
            self.empty.push(block);
        }
    }
}
