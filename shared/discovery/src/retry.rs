//! When to ask a source again that did not answer.

use std::time::Duration;

/// After a failure, and at most; the last is what a source that is back is noticed within.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How often in a row a question failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether the last question failed and the one before did not: the moment to say so.
    pub(crate) fn has_just_failed(&self) -> bool {
        self.failures == 1
    }

    /// How long to wait before the next question, which is not at all after an answer; `draw` of 0 to 1 spreads those who failed together.
    pub(crate) fn pause(&self, draw: f64) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let longest = PAUSES.0.saturating_mul(1 << doublings.min(10)).min(PAUSES.1);
        longest.mul_f64(0.5 + draw / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_to_two_seconds_and_no_further(failures in 1u32..100, draw in 0.0f64..1.0) {
            let mut retry = Retry::default();
            let mut last = Duration::ZERO;
            for _ in 0..failures {
                retry.failed();
                let pause = retry.pause(0.0);
                prop_assert!(pause >= last);
                last = pause;
            }
            prop_assert!(retry.pause(draw) <= PAUSES.1);
            retry.answered();
            prop_assert_eq!(retry.pause(draw), Duration::ZERO);
        }
    }
}
