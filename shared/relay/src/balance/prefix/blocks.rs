//! The beginning of a prompt as hashes, each of a block and of all that stands before it.

use std::{
    hash::{DefaultHasher, Hasher as _},
    sync::Arc,
};

/// Bytes in a block: some 60 tokens.
pub const BLOCK: usize = 256;
/// How many blocks of a prompt are looked at: what two prompts have in common beyond that makes no difference to where they go.
const MOST: usize = 256;
/// How many bytes of a prompt are looked at.
pub const LOOKED_AT: usize = MOST * BLOCK;

/// The beginning of a prompt, in whole blocks, one at least. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<[u64]>);

impl Prefix {
    /// Begins to read a prompt. Those of different seeds have nothing in common.
    pub fn reading(seed: u64) -> Reading {
        Reading { hasher: hasher(seed), filled: 0, blocks: Vec::new() }
    }

    /// What stands for its blocks: each for itself and all before it.
    pub fn blocks(&self) -> &[u64] {
        &self.0
    }
}

/// A prompt that is being read, in pieces of any length.
#[derive(Debug)]
pub struct Reading {
    hasher: DefaultHasher,
    /// Bytes of the block that is not whole yet.
    filled: usize,
    blocks: Vec<u64>,
}

impl Reading {
    /// Whether more of the prompt makes no difference.
    pub fn is_full(&self) -> bool {
        self.blocks.len() == MOST
    }

    /// The next piece.
    pub fn write(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && !self.is_full() {
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - self.filled));
            self.hasher.write(now);
            self.filled += now.len();
            piece = rest;
            if self.filled == BLOCK {
                let block = self.hasher.finish();
                self.blocks.push(block);
                (self.hasher, self.filled) = (hasher(block), 0);
            }
        }
    }

    /// What was read; `None` of less than a block.
    pub fn finish(self) -> Option<Prefix> {
        (!self.blocks.is_empty()).then(|| Prefix(self.blocks.into()))
    }
}

fn hasher(chained: u64) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(chained);
    hasher
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(seed: u64, prompt: &[u8]) -> Vec<u64> {
        let mut reading = Prefix::reading(seed);
        reading.write(prompt);
        reading.finish().map(|prefix| prefix.blocks().to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_block_counts_when_it_is_whole_and_no_more_than_the_most_are_looked_at() {
        let prompt = vec![7; LOOKED_AT + 3 * BLOCK];
        assert_eq!([0, BLOCK - 1, BLOCK, 3 * BLOCK - 1].map(|length| read(1, &prompt[..length]).len()), [0, 0, 1, 2]);
        assert_eq!(read(1, &prompt).len(), MOST);
    }

    #[test]
    fn the_same_block_at_another_place_is_another() {
        let blocks = read(1, &[7; 4 * BLOCK]);
        assert!(blocks.iter().enumerate().all(|(at, block)| !blocks[..at].contains(block)), "{blocks:?}");
    }

    proptest! {
        #[test]
        fn prompts_have_the_blocks_in_common_that_lie_before_their_first_difference(
            prompt in prop::collection::vec(any::<u8>(), 1..2000), other in prop::collection::vec(any::<u8>(), 0..600), at: prop::sample::Index,
        ) {
            let at = at.index(prompt.len());
            let mut changed = prompt[..at].to_vec();
            changed.push(!prompt[at]);
            changed.extend(other);
            let (one, another) = (read(3, &prompt), read(3, &changed));
            let common = one.iter().zip(&another).take_while(|(one, another)| one == another).count();
            prop_assert_eq!(common, at / BLOCK);
            prop_assert!(one[common..].iter().all(|block| !another.contains(block)));
        }

        #[test]
        fn it_makes_no_difference_in_which_pieces_a_prompt_comes(
            prompt in prop::collection::vec(any::<u8>(), 0..2000), cuts in prop::collection::vec(1_usize..700, 1..9),
        ) {
            let (mut reading, mut rest, mut cut) = (Prefix::reading(5), &prompt[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                reading.write(piece);
                rest = after;
            }
            prop_assert_eq!(reading.finish().map(|prefix| prefix.blocks().to_vec()).unwrap_or_default(), read(5, &prompt));
        }

        #[test]
        fn prompts_of_different_seeds_have_nothing_in_common(prompt in prop::collection::vec(any::<u8>(), BLOCK..1000), seed: u64, other: u64) {
            prop_assume!(seed != other);
            let (one, another) = (read(seed, &prompt), read(other, &prompt));
            prop_assert!(one.iter().all(|block| !another.contains(block)));
        }
    }
}
