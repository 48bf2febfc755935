//! The rows that might run next, and what running them comes to.

use std::time::Instant;

use super::{super::flows::Place, Rules, Work, seconds};

/// A batch is expected to take so many times what it was measured to, where a deadline depends on it.
pub(super) const CAUTION: f64 = 1.05;

/// A choice of rows, and what running them comes to.
pub(super) struct Choice {
    pub(super) picks: Vec<(Place, usize)>,
    pub(super) work: Work,
    pub(super) seconds: f64,
    /// The earliest deadline among them.
    pub(super) tightest: Option<Instant>,
}

impl Choice {
    /// Whether every one of its requests is answered within its deadline.
    pub(super) fn in_time(&self, now: Instant) -> bool {
        self.tightest.is_none_or(|tightest| tightest >= now + seconds(CAUTION * self.seconds))
    }

    /// Whether one more row like the longest would exceed the token budget.
    pub(super) fn is_full(&self, rules: Rules) -> bool {
        let with_another = match rules.length_ratio {
            Some(_) => (self.work.rows + 1) * self.work.longest,
            None => self.work.tokens + self.work.longest,
        };
        with_another > rules.max_tokens
    }
}
