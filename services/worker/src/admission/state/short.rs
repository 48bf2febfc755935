//! Batches are kept short while somebody more urgent may come.

use std::time::{Duration, Instant};

use super::{Priority, State, batching};

/// A class that was asked for no longer ago than this may be asked for again at any time.
const RECENT: Duration = Duration::from_secs(10);

/// When each class was asked for last.
#[derive(Debug, Default)]
pub(super) struct LastSeen([Option<Instant>; Priority::ALL.len()]);

impl LastSeen {
    pub(super) fn note(&mut self, class: Priority, now: Instant) {
        self.0[class as usize] = Some(now);
    }

    /// The most urgent class that may be asked for again.
    fn most_urgent(&self, now: Instant) -> Option<Priority> {
        Priority::ALL.into_iter().find(|class| self.0[*class as usize].is_some_and(|seen| now.saturating_duration_since(seen) < RECENT))
    }
}

impl State {
    /// How many rows of `length` the next batch takes at most.
    pub(super) fn most(&self, now: Instant, length: f64) -> usize {
        let best = self.costs.preferred(length);
        self.short(now, Priority::High, length).map_or(best, |short| short.min(best))
    }

    /// How many rows of `length` a batch takes that is kept short, if it is, once a request of `class` waits too. All rows of the most urgent class
    /// go together, as they would without the others.
    pub(super) fn short(&self, now: Instant, class: Priority, length: f64) -> Option<usize> {
        let urgent = self.last_seen.most_urgent(now).filter(|urgent| *urgent < class || self.flows.others_wait(*urgent))?;
        Some(batching::slice(&self.costs, length).max(self.flows.rows(urgent)))
    }
}
