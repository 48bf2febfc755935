//! Calls that an endpoint has left without an answer.
//!
//! What a call would have taken that was given up is not known, only that it was long. Held against the endpoint as latency, the freeze of a moment would keep it
//! out for many times as long. So it counts until the endpoint answers something again, whatever that is.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The least that it counts: an endpoint whose models hang may well answer a probe.
const AT_LEAST: u64 = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Silence {
    /// Microseconds that the longest of them lasted. 0: there was none.
    lasted: AtomicU64,
    /// Microseconds on the caller's clock.
    since: AtomicU64,
}

impl Silence {
    /// At `now` (microseconds on one clock) a call was given up that had lasted so long, where `expected` microseconds were to be expected.
    pub fn observe(&self, now: u64, lasted: Duration, expected: f64) {
        let lasted = lasted.as_micros() as u64;
        if lasted as f64 > expected {
            self.lasted.store(lasted, Ordering::Relaxed);
            self.since.store(now, Ordering::Relaxed);
        }
    }

    /// What it makes one expect at `now`, in microseconds, of an endpoint that has last answered anything at `answered`; 0: nothing.
    pub fn expected(&self, now: u64, answered: u64) -> u64 {
        let lasted = self.lasted.load(Ordering::Relaxed);
        if lasted == 0 {
            return 0;
        }
        let since = self.since.load(Ordering::Relaxed);
        if answered > since && now > since + AT_LEAST {
            self.lasted.store(0, Ordering::Relaxed);
            return 0;
        }
        lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> u64 {
        millis * 1000
    }

    #[test]
    fn a_call_that_was_given_up_counts_only_when_it_was_slow() {
        let silence = Silence::default();
        silence.observe(at(1000), Duration::from_millis(2), 10_000.0);
        assert_eq!(silence.expected(at(1000), 0), 0);
        silence.observe(at(1000), Duration::from_millis(500), 10_000.0);
        assert_eq!(silence.expected(at(1000), 0), 500_000);
    }

    #[test]
    fn it_counts_until_something_is_answered_and_for_a_second_at_least() {
        let silence = Silence::default();
        silence.observe(at(1000), Duration::from_millis(500), 0.0);
        assert_eq!(silence.expected(at(60_000), at(900)), 500_000, "nothing was answered since");
        assert_eq!(silence.expected(at(1900), at(1100)), 500_000, "that may have been a probe");
        assert_eq!(silence.expected(at(2100), at(1100)), 0);
        assert_eq!(silence.expected(at(2100), 0), 0, "what is over is over");
    }
}
