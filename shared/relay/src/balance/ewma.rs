//! What an endpoint's answers take, with bad news believed at once and good news slowly.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A peak-sensitive, exponentially weighted moving average of latency, as Finagle's and linkerd's balancers have it: an answer slower than the average
/// becomes the average, a faster one pulls it down by the time that has passed. What was not heard of for long is forgotten by the same measure.
///
/// Two observations at once may lose one of them; the next makes up for it.
#[derive(Debug, Default)]
pub struct PeakEwma {
    /// Microseconds, as the bits of an `f64`. 0: nothing observed.
    average: AtomicU64,
    /// Microseconds on the caller's clock.
    stamp: AtomicU64,
}

impl PeakEwma {
    /// An answer came at `now` (microseconds on one clock) and took so long; `decay` is the time after which 63 % of the old average is forgotten.
    pub fn observe(&self, now: u64, took: Duration, decay: Duration) {
        // An answer of no time at all would look like none.
        let took = (took.as_nanos() as f64 / 1000.0).max(1.0);
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        let next = if took >= average {
            took
        } else {
            let kept = self.kept(now, decay);
            average.mul_add(kept, took * (1.0 - kept))
        };
        self.average.store(next.to_bits(), Ordering::Relaxed);
        self.stamp.store(now, Ordering::Relaxed);
    }

    /// The latency to expect, in microseconds; `None` when nothing was ever observed.
    pub fn expected(&self, now: u64, decay: Duration) -> Option<f64> {
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        (average > 0.0).then(|| average * self.kept(now, decay))
    }

    /// How much of the average is left by now.
    fn kept(&self, now: u64, decay: Duration) -> f64 {
        let age = now.saturating_sub(self.stamp.load(Ordering::Relaxed));
        (-(age as f64) / (decay.as_micros() as f64)).exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DECAY: Duration = Duration::from_secs(10);
    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn at(seconds: u64) -> u64 {
        seconds * 1_000_000
    }

    #[test]
    fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.expected(at(0), DECAY), None);
        ewma.observe(at(1), millis(10), DECAY);
        ewma.observe(at(1), millis(100), DECAY);
        assert_eq!(ewma.expected(at(1), DECAY), Some(100_000.0));
        ewma.observe(at(2), millis(10), DECAY);
        let after = ewma.expected(at(2), DECAY).unwrap();
        assert!((90_000.0..95_000.0).contains(&after), "{after}");
        assert!(ewma.expected(at(62), DECAY).unwrap() < 1_000.0);
    }

    proptest! {
        #[test]
        fn the_average_stays_between_the_fastest_and_the_slowest_answer(
            answers in proptest::collection::vec((0_u64..1_000_000, 1_u64..10_000_000), 1..50),
        ) {
            let (ewma, mut now) = (PeakEwma::default(), 0);
            for (pause, took) in &answers {
                now += pause;
                ewma.observe(now, Duration::from_micros(*took), DECAY);
            }
            let average = ewma.expected(now, DECAY).unwrap();
            let fastest = answers.iter().map(|(_, took)| *took).min().unwrap() as f64;
            let slowest = answers.iter().map(|(_, took)| *took).max().unwrap() as f64;
            prop_assert!((fastest * 0.999..=slowest * 1.001).contains(&average));
        }
    }
}
