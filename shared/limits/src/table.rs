//! Every count of this process, found by rule and caller, and only so many of them.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::{
    cell::{Cell, Now},
    rule::Whose,
};

/// So many parts that threads seldom meet.
const SHARDS: usize = 64;

/// A shard with fewer counts than this is not looked through.
const FEW: usize = 32;

/// See the module.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    // Keyed at random: nobody can choose names that meet.
    hasher: RandomState,
    prefix: String,
    most_each: usize,
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashTable<Arc<Cell>>,
    sweep_at: usize,
}

impl Table {
    /// Room for about `most` counts; the fleet knows them by names with this prefix.
    pub fn new(most: usize, prefix: impl Into<String>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), prefix: prefix.into(), most_each: (most / SHARDS).max(FEW) }
    }

    /// The count of a caller for a rule; a new one where there is none.
    pub fn cell(&self, rule: u64, whose: &Whose<'_>, now: &Now) -> Arc<Cell> {
        let hash = self.hasher.hash_one((rule, *whose));
        // The table goes by the highest and the lowest bits.
        let mut shard = self.shards[(hash >> 32) as usize % SHARDS].lock();
        if let Some(cell) = shard.cells.find(hash, |cell| cell.is(rule, whose)) {
            return Arc::clone(cell);
        }
        if shard.cells.len() >= shard.sweep_at.max(FEW) {
            shard.sweep(now, self.most_each);
        }
        let cell = Arc::new(Cell::new(&self.prefix, rule, whose));
        shard.cells.insert_unique(hash, Arc::clone(&cell), |cell| self.hasher.hash_one(cell.found_by()));
        cell
    }

    /// How many counts there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().cells.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    /// Forgets what is as new again; and of the rest, where there is too much of it, a quarter: made-up callers must not fill the memory. What
    /// calls hold and what is counted by the month stays.
    fn sweep(&mut self, now: &Now, most: usize) {
        self.cells.retain(|cell| Arc::strong_count(cell) > 1 || !cell.lock().is_idle(now));
        if self.cells.len() >= most {
            let mut over = self.cells.len() - most * 3 / 4;
            self.cells.retain(|cell| {
                let state = *cell.lock();
                let goes = over > 0 && Arc::strong_count(cell) == 1 && state.in_flight == 0 && !state.counts_month(now);
                over -= usize::from(goes);
                !goes
            });
        }
        self.sweep_at = (self.cells.len() * 2).min(most.max(self.cells.len() + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{calendar::Month, cell::State, gcra};

    fn now(seconds: u64) -> Now {
        Now { picos: gcra::picos(Duration::from_secs(seconds)), wall: SystemTime::UNIX_EPOCH }
    }

    fn whose(name: &str) -> Whose<'_> {
        Whose { of: "", name }
    }

    #[test]
    fn a_caller_finds_its_own_count_again_and_no_other() {
        let table = Table::new(1000, "t");
        let first = table.cell(1, &whose("a"), &now(0));
        assert!(Arc::ptr_eq(&first, &table.cell(1, &whose("a"), &now(0))));
        for other in
            [table.cell(2, &whose("a"), &now(0)), table.cell(1, &whose("b"), &now(0)), table.cell(1, &Whose { of: "a", name: "" }, &now(0))]
        {
            assert!(!Arc::ptr_eq(&first, &other) && first.name() != other.name());
        }
    }

    #[test]
    fn a_flood_of_made_up_callers_does_not_grow_it() {
        let table = Table::new(4096, "t");
        let quota = table.cell(7, &whose("who pays"), &now(0));
        let month = Month::of(now(0).wall);
        *quota.lock() = State { month, since: 5, ..State::default() };
        drop(quota);
        for number in 0..100_000 {
            let cell = table.cell(1, &whose(&number.to_string()), &now(0));
            cell.lock().arrival = now(60).picos;
        }
        assert!(table.len() <= 4096 + SHARDS, "{}", table.len());
        assert_eq!(table.cell(7, &whose("who pays"), &now(0)).lock().since, 5);
    }

    #[test]
    fn counts_that_are_as_new_again_go_first() {
        let table = Table::new(1 << 20, "t");
        for number in 0..10_000 {
            table.cell(1, &whose(&number.to_string()), &now(0)).lock().arrival = now(60).picos;
        }
        for number in 0..20_000 {
            table.cell(2, &whose(&number.to_string()), &now(61)).lock().arrival = now(120).picos;
        }
        assert!(table.len() < 25_000, "{}", table.len());
    }
}
