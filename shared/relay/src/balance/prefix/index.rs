//! Which endpoints were sent what.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
    num::NonZeroU32,
};

use super::Prefix;

/// How many endpoints are remembered of a block: those that were sent it last. What more than so many have read is what nearly all have.
const HOLDERS: usize = 4;
/// Bytes that a block takes in a table: what stands for it, its endpoints, and the table's own byte.
const ENTRY: usize = mem::size_of::<(u64, Holders)>() + 1;

/// An endpoint for as long as it serves one load of a version: the next load has read nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat(NonZeroU32);

impl Seat {
    /// The first of all.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Another one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The one that was sent it last comes first.
#[derive(Debug, Clone, Copy, Default)]
struct Holders([Option<Seat>; HOLDERS]);

impl Holders {
    fn iter(&self) -> impl Iterator<Item = Seat> {
        self.0.iter().flatten().copied()
    }

    fn put(&mut self, seat: Seat) {
        let at = self.0.iter().position(|holder| *holder == Some(seat)).unwrap_or(HOLDERS - 1);
        self.0[..=at].rotate_right(1);
        self.0[0] = Some(seat);
    }

    fn retain(&mut self, stays: impl Fn(Seat) -> bool) {
        let mut left = Self::default();
        self.iter().filter(|seat| stays(*seat)).zip(&mut left.0).for_each(|(seat, place)| *place = Some(seat));
        *self = left;
    }
}

/// Blocks are hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Table = HashMap<u64, Holders, BuildHasherDefault<Hashed>>;

/// Which endpoints were last sent a prompt that begins so, within a bound of memory.
///
/// Blocks that were not met for longest are forgotten first, half of all at a time: there are two tables, what is met is put into the young one, and when that is full the old one is
/// let go of and the young one takes its place. So nothing is paid for the order but a second look.
#[derive(Debug)]
pub struct PrefixIndex {
    young: Table,
    old: Table,
    /// Blocks in each table at most.
    most: usize,
}

impl PrefixIndex {
    /// An empty one that takes so many bytes at most once it is full; while it fills, a table that grows is there twice.
    pub fn new(bytes: usize) -> Self {
        // A table has a power of two of places and fills seven of eight.
        let places = 1_usize << (bytes / 2 / ENTRY).max(8).ilog2();
        Self { young: Table::default(), old: Table::default(), most: places / 8 * 7 }
    }

    /// How many blocks are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.keys().filter(|block| !self.young.contains_key(block)).count()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The position that has most of the prompt, of those that take the call; of several, the one with the least load, and of several the one that was sent it last. `position` is where a
    /// seat is now, `None` when it is gone. `None`: nobody who takes the call has any of it.
    pub fn choose(
        &self,
        prefix: &Prefix,
        position: impl Fn(Seat) -> Option<usize>,
        takes: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let mut deepest_first = prefix.blocks().iter().rev().filter_map(|block| self.holders(*block));
        deepest_first.find_map(|holders| holders.iter().filter_map(&position).filter(|&at| takes(at)).min_by_key(|&at| load(at)))
    }

    /// Somebody is sent the prompt; tells how many of its blocks it had.
    pub fn note(&mut self, prefix: &Prefix, seat: Seat) -> usize {
        let mut had = 0;
        for (at, &block) in prefix.blocks().iter().enumerate() {
            let mut holders = self.holders(block).copied().unwrap_or_default();
            if holders.iter().any(|holder| holder == seat) {
                had = at + 1;
            }
            holders.put(seat);
            if self.young.len() == self.most && !self.young.contains_key(&block) {
                mem::swap(&mut self.young, &mut self.old);
                self.young.clear();
            }
            self.young.insert(block, holders);
        }
        had
    }

    /// Forgets everything of the seats that `stays` says no of.
    pub fn retain(&mut self, stays: impl Fn(Seat) -> bool) {
        for table in [&mut self.young, &mut self.old] {
            table.retain(|_, holders| {
                holders.retain(&stays);
                holders.iter().next().is_some()
            });
        }
    }

    fn holders(&self, block: u64) -> Option<&Holders> {
        self.young.get(&block).or_else(|| self.old.get(&block))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::balance::{prefix::blocks::BLOCK, ring::most_in_flight};

    const ROOM: usize = 1 << 20;

    fn seat(number: u32) -> Seat {
        (0..number).fold(Seat::FIRST, |seat, _| seat.next())
    }

    fn position(seat: Seat) -> Option<usize> {
        usize::try_from(seat.0.get()).ok()?.checked_sub(1)
    }

    /// A prompt whose blocks are these.
    fn prompt(blocks: &[u8]) -> Prefix {
        let mut reading = Prefix::reading(1);
        for block in blocks {
            reading.write(&[*block; BLOCK]);
        }
        reading.finish().unwrap()
    }

    fn chosen(index: &PrefixIndex, prompt: &Prefix, loads: &[usize], most: usize) -> Option<usize> {
        index.choose(prompt, position, |at| loads[at] < most, |at| loads[at])
    }

    #[test]
    fn whoever_has_most_of_a_prompt_is_chosen_and_when_it_is_busy_whoever_has_the_next_most() {
        let mut index = PrefixIndex::new(ROOM);
        assert_eq!(index.note(&prompt(&[1, 2, 3]), seat(0)), 0);
        assert_eq!(index.note(&prompt(&[1, 2, 8]), seat(1)), 0);
        assert_eq!(index.note(&prompt(&[1, 9]), seat(2)), 0);
        let next = prompt(&[1, 2, 3, 4]);
        assert_eq!(chosen(&index, &next, &[4, 0, 0], 5), Some(0));
        assert_eq!(chosen(&index, &next, &[5, 0, 0], 5), Some(1));
        assert_eq!(chosen(&index, &next, &[5, 5, 0], 5), Some(2));
        assert_eq!(chosen(&index, &next, &[5, 5, 5], 5), None);
        assert_eq!(chosen(&index, &prompt(&[7, 2, 3]), &[0, 0, 0], 5), None);
        assert_eq!((index.note(&next, seat(0)), index.note(&next, seat(1)), index.note(&next, seat(1))), (3, 2, 4));
    }

    #[test]
    fn of_those_who_have_as_much_the_least_loaded_is_chosen_and_then_the_last() {
        let mut index = PrefixIndex::new(ROOM);
        (0..3).for_each(|number| assert_eq!(index.note(&prompt(&[1]), seat(number)), 0));
        assert_eq!(chosen(&index, &prompt(&[1, 2]), &[3, 1, 2], 9), Some(1));
        assert_eq!(chosen(&index, &prompt(&[1, 2]), &[1, 1, 1], 9), Some(2));
    }

    #[test]
    fn a_block_remembers_those_who_were_sent_it_last() {
        let mut index = PrefixIndex::new(ROOM);
        let hot = prompt(&[1]);
        for number in [0, 1, 2, 3, 0, 4] {
            index.note(&hot, seat(number));
        }
        let known = |number: usize| index.choose(&hot, position, |at| at == number, |_| 0).is_some();
        assert_eq!([0, 1, 2, 3, 4].map(known), [true, false, true, true, true]);
    }

    #[test]
    fn one_who_leaves_is_forgotten_and_the_others_are_not() {
        let mut index = PrefixIndex::new(ROOM);
        for (blocks, number) in [(&[1, 2][..], 0), (&[1, 3], 1), (&[1, 4], 2)] {
            index.note(&prompt(blocks), seat(number));
        }
        index.retain(|holder| holder != seat(1));
        assert_eq!(chosen(&index, &prompt(&[1, 3]), &[1, 0, 0], 5), Some(2), "of what it had in common with others they are left");
        assert_eq!(index.len(), 3);
        index.retain(|_| false);
        assert!(index.is_empty());
    }

    #[test]
    fn what_is_met_again_outlives_what_is_not() {
        let mut index = PrefixIndex::new(16 << 10);
        let kept = prompt(&[1, 2, 3]);
        index.note(&kept, seat(0));
        for other in 0..20_000_u32 {
            let mut reading = Prefix::reading(u64::from(other) + 7);
            reading.write(&[1; BLOCK]);
            index.note(&reading.finish().unwrap(), seat(1));
            if other % 100 == 0 {
                assert_eq!(index.note(&kept, seat(0)), 3, "after {other} others");
            }
        }
    }

    /// Calls as they come: which blocks their prompts have, and how many of those in flight end before.
    fn calls() -> impl Strategy<Value = Vec<(Vec<u8>, usize)>> {
        prop::collection::vec((prop::collection::vec(0_u8..3, 1..6), 0_usize..3), 1..120)
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_bound_and_whoever_is_chosen_has_the_most_of_those_below_it(
            calls in calls(), usable in prop::collection::vec(any::<bool>(), 1..6), bound in 1.0_f64..3.0, ends: u64,
        ) {
            prop_assume!(usable.contains(&true));
            let (count, left) = (usable.len(), usable.iter().filter(|usable| **usable).count());
            let (mut index, mut loads, mut running) = (PrefixIndex::new(ROOM), vec![0_usize; count], Vec::new());
            let (mut random, mut has) = (fastrand::Rng::with_seed(ends), HashMap::<u64, Vec<usize>>::new());
            for (blocks, ending) in calls {
                for _ in 0..ending.min(running.len()) {
                    let at: usize = running.swap_remove(random.usize(..running.len()));
                    loads[at] -= 1;
                }
                let prompt = prompt(&blocks);
                let most = most_in_flight(running.len() + 1, left, bound);
                let takes = |at: usize| usable[at] && loads[at] < most;
                let found = index.choose(&prompt, position, takes, |at| loads[at]);
                prop_assert_eq!(found, index.choose(&prompt, position, takes, |at| loads[at]), "the same state, the same choice");
                let depth = |at: usize| prompt.blocks().iter().rposition(|block| has.get(block).is_some_and(|holders| holders.contains(&at)));
                let deepest = (0..count).filter(|at| takes(*at)).filter_map(depth).max();
                // More holders than are remembered of a block: it may have been forgotten who has it, and never made up.
                if let Some(at) = found {
                    prop_assert!(takes(at) && depth(at).is_some());
                }
                if count <= HOLDERS {
                    prop_assert_eq!(found.and_then(depth), deepest);
                }
                let at = found.or_else(|| (0..count).find(|at| takes(*at))).expect("somebody is below the bound");
                index.note(&prompt, seat(at as u32));
                prompt.blocks().iter().for_each(|block| has.entry(*block).or_default().push(at));
                loads[at] += 1;
                running.push(at);
                prop_assert!(loads[at] <= most);
            }
        }

        #[test]
        fn a_hot_prompt_is_spread_as_the_bound_says(count in 1_usize..8, calls in 1_usize..400, bound in 1.0_f64..3.0) {
            let (mut index, mut loads, hot) = (PrefixIndex::new(ROOM), vec![0_usize; count], prompt(&[1, 2, 3]));
            for total in 1..=calls {
                let most = most_in_flight(total, count, bound);
                let idlest = (0..count).min_by_key(|at| loads[*at]).unwrap();
                let at = chosen(&index, &hot, &loads, most).unwrap_or(idlest);
                index.note(&hot, seat(at as u32));
                loads[at] += 1;
            }
            prop_assert!(loads.iter().all(|load| *load <= most_in_flight(calls, count, bound)), "{:?}", loads);
        }

        #[test]
        fn memory_is_bounded_whatever_comes(bytes in 0_usize..100_000, prompts in prop::collection::vec(any::<u64>(), 1..60)) {
            let mut index = PrefixIndex::new(bytes);
            for (number, seed) in prompts.iter().enumerate() {
                let mut reading = Prefix::reading(*seed);
                reading.write(&vec![7; 100 * BLOCK]);
                index.note(&reading.finish().unwrap(), seat(number as u32 % 9));
                prop_assert!(index.young.len().max(index.old.len()) <= index.most);
                // Places that a table of this capacity has, as hashbrown makes them.
                let places = |table: &Table| (table.capacity() / 7 * 8).next_power_of_two();
                let taken = (places(&index.young) + places(&index.old)) * ENTRY;
                prop_assert!(taken <= bytes.max(16 * ENTRY) , "{} bytes of {}", taken, bytes);
            }
        }
    }
}
