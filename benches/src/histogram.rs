//! Latencies in constant memory, whatever the length of the run.

use std::time::Duration;

/// Steps between one power of two and the next: a quantile is at most 1/64 (1.6 %) above the true value.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^40 ns, eighteen minutes; what is longer counts in the last bucket.
const BUCKETS: usize = ((40 - STEP_BITS + 1) as usize) * STEPS as usize;

/// A log-linear histogram of durations.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket_of(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(latency);
    }

    /// How many latencies were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether none was counted yet.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The longest latency, exact.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The latency that the share `quantile` (0 to 1) of all calls did not exceed, rounded up to its bucket's end; zero when empty.
    #[allow(clippy::cast_sign_loss)] // The product of a count and a share that is clamped to 0..=1 is not negative.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.total as f64) * quantile.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(end_of(bucket)).min(self.longest);
            }
        }
        self.longest
    }
}

/// Values below [`STEPS`] have a bucket each; above, every power of two has [`STEPS`] of them.
fn bucket_of(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEP_BITS;
    let bucket = u64::from(shift) * STEPS + (nanos >> shift);
    (bucket as usize).min(BUCKETS - 1)
}

fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nanos: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        nanos.into_iter().for_each(|n| histogram.record(Duration::from_nanos(n)));
        histogram
    }

    #[test]
    fn every_value_lies_in_a_bucket_whose_end_is_at_most_a_sixty_fourth_above_it() {
        let mut value = 1_u64;
        while value < 1 << 39 {
            let end = end_of(bucket_of(value));
            assert!(end >= value && end - value <= value / STEPS, "{value} went into the bucket that ends at {end}");
            value += 1 + value / 97;
        }
    }

    #[test]
    fn quantiles_of_a_uniform_spread_are_where_they_should_be() {
        let histogram = of((1..=10_000).map(|n| n * 1_000));
        for (quantile, micros) in [(0.5, 5_000_u32), (0.9, 9_000), (0.99, 9_900)] {
            let found = histogram.quantile(quantile).as_secs_f64() * 1e6;
            assert!((found / f64::from(micros) - 1.0).abs() < 0.016, "p{quantile}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(10));
    }

    #[test]
    fn an_empty_histogram_answers_zero_and_an_hour_is_not_lost() {
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
        let hour = of([3_600_000_000_000]);
        assert_eq!((hour.len(), hour.longest()), (1, Duration::from_secs(3_600)));
    }
}
