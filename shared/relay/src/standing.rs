//! Whether all endpoints of a group together fail, for whoever has somewhere else to go.
//!
//! It keeps no call away by itself: whoever has nowhere else to go is sent where they ask to be sent.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::breaker::{Breaker, BreakerSettings, Outcome};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Nothing is counted for nobody: the counts are one lock for all data threads.
    asked: AtomicBool,
    breaker: Breaker,
}

impl Standing {
    /// Whether calls that can go elsewhere should, at `now`. After a pause one of them may try.
    pub(crate) fn is_failing(&self, now: u64) -> bool {
        self.asked.store(true, Ordering::Relaxed);
        !self.breaker.admits(now)
    }

    /// A call goes there. True: it is the one that tries, and [`Self::gave_up`] is to be called when nothing comes of it.
    pub(crate) fn begin(&self, now: u64) -> bool {
        self.breaker.begin(now)
    }

    /// The call that tried ended without an outcome.
    pub(crate) fn gave_up(&self) {
        self.breaker.gave_up();
    }

    /// Counts what came of a try at any of the endpoints. True: from now on they fail.
    pub(crate) fn count(&self, now: u64, outcome: Outcome, settings: &BreakerSettings) -> bool {
        if !self.asked.load(Ordering::Relaxed) || !self.breaker.count(now, outcome, settings) {
            return false;
        }
        let fails_now = !self.breaker.is_open();
        self.breaker.open(now, settings);
        fails_now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn fail(standing: &Standing, times: u32) -> usize {
        (0..times).filter(|_| standing.count(SECOND, Outcome::Failed, &BreakerSettings::default())).count()
    }

    #[test]
    fn it_fails_once_after_five_failures_in_a_row_of_whichever_endpoints_and_an_answer_ends_it() {
        let standing = Standing::default();
        assert!(!standing.is_failing(SECOND));
        assert_eq!(fail(&standing, 9), 1, "it begins to fail once");
        assert!(standing.is_failing(SECOND));
        // Of somebody who had nowhere else to go.
        assert!(!standing.begin(SECOND));
        standing.count(SECOND, Outcome::Answered, &BreakerSettings::default());
        assert!(!standing.is_failing(SECOND));
    }

    #[test]
    fn after_the_pause_one_call_tries_and_when_it_leaves_another() {
        let standing = Standing::default();
        standing.is_failing(SECOND);
        fail(&standing, 5);
        assert!(!standing.is_failing(2 * SECOND));
        assert!(standing.begin(2 * SECOND));
        assert!(standing.is_failing(2 * SECOND), "one is enough");
        standing.gave_up();
        assert!(!standing.is_failing(2 * SECOND));
    }

    #[test]
    fn for_nobody_nothing_is_counted() {
        let standing = Standing::default();
        fail(&standing, 50);
        assert!(!standing.is_failing(SECOND));
    }
}
