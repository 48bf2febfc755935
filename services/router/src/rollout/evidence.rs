//! What was seen of one version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;

/// Counts of one version's calls; those of several routers can be added up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Calls of callers that ended, those that the caller gave up excepted.
    pub calls: u64,
    /// Those among them that failed by the version's fault.
    pub errors: u64,
    /// Calls that it refused as the caller's mistake, such as an input that it does not have.
    pub refused: u64,
    /// How long those took that were answered.
    pub latency: Histogram,
    /// Mirrored calls whose answer was compared with the one that the caller got.
    pub compared: u64,
    /// Those among them whose answers differed.
    pub disagreed: u64,
}

impl Evidence {
    /// Adds what somebody else saw.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.refused += other.refused;
        self.latency.merge(&other.latency);
        self.compared += other.compared;
        self.disagreed += other.disagreed;
    }

    /// What was seen since `before`; `None` when this is no later state of it.
    pub fn since(&self, before: &Self) -> Option<Self> {
        Some(Self {
            calls: self.calls.checked_sub(before.calls)?,
            errors: self.errors.checked_sub(before.errors)?,
            refused: self.refused.checked_sub(before.refused)?,
            latency: self.latency.since(&before.latency)?,
            compared: self.compared.checked_sub(before.compared)?,
            disagreed: self.disagreed.checked_sub(before.disagreed)?,
        })
    }
}

/// What one router has seen of one version since it began to count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// A random number, new whenever the counts begin at 0 again: after a restart, or when the version was gone for a while.
    pub epoch: u64,
    /// The counts.
    pub seen: Evidence,
}

/// The sum over routers of what came after the first snapshot of each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    last: BTreeMap<String, Snapshot>,
    /// The sum.
    pub total: Evidence,
}

impl Tally {
    /// Takes in a router's latest snapshot, and says what is new in it. The first of a router only marks where to count from: what it has seen before was not part
    /// of this rollout.
    pub fn add(&mut self, router: &str, snapshot: Snapshot) -> Evidence {
        let new = match self.last.get(router) {
            None => Evidence::default(),
            Some(last) if last.epoch != snapshot.epoch => snapshot.seen.clone(),
            // An older answer that arrives late says nothing new.
            Some(last) => match snapshot.seen.since(&last.seen) {
                Some(new) => new,
                None => return Evidence::default(),
            },
        };
        self.last.insert(router.to_owned(), snapshot);
        self.total.merge(&new);
        new
    }

    /// Begins to count anew from here.
    pub fn restart(&mut self) {
        self.total = Evidence::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(epoch: u64, calls: u64, errors: u64) -> Snapshot {
        Snapshot { epoch, seen: Evidence { calls, errors, ..Default::default() } }
    }

    #[test]
    fn only_what_comes_after_the_first_snapshot_counts() {
        let mut tally = Tally::default();
        tally.add("a", snapshot(1, 1000, 500));
        tally.add("a", snapshot(1, 1010, 501));
        tally.add("b", snapshot(2, 7, 7));
        tally.add("b", snapshot(2, 8, 7));
        assert_eq!((tally.total.calls, tally.total.errors), (11, 1));
    }

    #[test]
    fn a_router_that_restarted_begins_at_nothing() {
        let mut tally = Tally::default();
        tally.add("a", snapshot(1, 1000, 0));
        tally.add("a", snapshot(9, 1500, 2));
        assert_eq!((tally.total.calls, tally.total.errors), (1500, 2));
    }

    #[test]
    fn a_snapshot_that_was_overtaken_says_nothing_new() {
        let mut tally = Tally::default();
        for calls in [100, 150, 120, 160] {
            tally.add("a", snapshot(1, calls, 0));
        }
        assert_eq!(tally.total.calls, 60);
    }
}
