//! How long calls of one kind take, as far as percentiles go.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

/// Buckets for each doubling of the latency: a percentile is at most 19 % too high.
const PER_DOUBLING: f64 = 4.0;
/// Enough for 2^32 microseconds, more than an hour.
const BUCKETS: usize = 128;
/// When so many were counted, each count is halved: the percentile follows the last few thousand calls.
const FULL: u32 = 8192;
/// A percentile of fewer says nothing about the rare ones.
const ENOUGH: u32 = 100;

/// A histogram that forgets.
#[derive(Debug)]
pub struct Latencies {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
    /// The last percentile, in microseconds; 0: none.
    cached: AtomicU64,
    cached_at: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU32::new(0) }; BUCKETS],
            total: AtomicU32::new(0),
            cached: AtomicU64::new(0),
            cached_at: AtomicU32::new(0),
        }
    }
}

impl Latencies {
    /// A call took so long.
    pub fn observe(&self, took: Duration) {
        self.counts[bucket(took)].fetch_add(1, Ordering::Relaxed);
        if self.total.fetch_add(1, Ordering::Relaxed) + 1 == FULL {
            let halve =
                |count: &AtomicU32| count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count / 2)).unwrap_or(0) / 2;
            let left = self.counts.iter().map(halve).sum();
            self.total.store(left, Ordering::Relaxed);
            self.cached_at.store(0, Ordering::Relaxed);
        }
    }

    /// The latency that `share` (0 to 1) of the calls did not exceed; `None` while too few were seen.
    ///
    /// It is worked out anew each time that a sixty-fourth more calls have come; all callers ask for the same share.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let total = self.total.load(Ordering::Relaxed);
        if total < ENOUGH {
            return None;
        }
        let at = self.cached_at.load(Ordering::Relaxed);
        if at == 0 || total >= at + 1 + at / 64 {
            self.cached_at.store(total, Ordering::Relaxed);
            self.cached.store(self.work_out(total, share), Ordering::Relaxed);
        }
        let cached = self.cached.load(Ordering::Relaxed);
        (cached > 0).then(|| Duration::from_micros(cached))
    }

    fn work_out(&self, total: u32, share: f64) -> u64 {
        let wanted = (f64::from(total) * share).ceil() as u32;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if seen >= wanted {
                return upper_end(at);
            }
        }
        // Counts that moved meanwhile: the slowest there can be.
        upper_end(BUCKETS - 1)
    }
}

fn bucket(took: Duration) -> usize {
    let micros = (took.as_nanos() as f64 / 1000.0).max(1.0);
    ((micros.log2() * PER_DOUBLING) as usize).min(BUCKETS - 1)
}

/// The longest latency of a bucket, in microseconds.
fn upper_end(bucket: usize) -> u64 {
    ((bucket as f64 + 1.0) / PER_DOUBLING).exp2().ceil() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_calls_are_no_percentile() {
        let latencies = Latencies::default();
        (0..99).for_each(|_| latencies.observe(Duration::from_millis(1)));
        assert_eq!(latencies.percentile(0.99), None);
        latencies.observe(Duration::from_millis(1));
        assert!(latencies.percentile(0.99).is_some());
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let latencies = Latencies::default();
        (0..10_000).for_each(|_| latencies.observe(Duration::from_secs(1)));
        (0..60_000).for_each(|_| latencies.observe(Duration::from_millis(1)));
        assert!(latencies.percentile(0.99).unwrap() < Duration::from_millis(2));
    }

    proptest! {
        #[test]
        fn the_percentile_is_at_least_the_true_one_and_at_most_a_fifth_more(
            micros in proptest::collection::vec(1_u64..100_000_000, 100..2000), share in 0.01_f64..1.0,
        ) {
            let (latencies, mut sorted) = (Latencies::default(), micros);
            for took in &sorted {
                latencies.observe(Duration::from_micros(*took));
            }
            sorted.sort_unstable();
            let rank = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
            let (exact, found) = (sorted[rank] as f64, latencies.percentile(share).unwrap().as_micros() as f64);
            prop_assert!(found >= exact * 0.999 && found <= exact * 1.19 + 2.0, "{exact} {found}");
        }
    }
}
