//! How long calls took, as counts in buckets that all routers share, so that they can be added up.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Buckets for each doubling: a bucket is at most 1/32 (3.1 %) wider than its lower end.
const PER_DOUBLING: u32 = 32;
/// The longest latency that is told apart: 2^32 microseconds, 71 minutes.
const LONGEST: u64 = u32::MAX as u64;
/// How many buckets there are: one for each microsecond below 64, then 32 for each doubling.
pub const BUCKETS: usize = bucket_of(LONGEST) + 1;

/// Counts by latency; relative error at most 3.1 %, and 1 us below 32 us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// As long as the last bucket that was needed.
    counts: Vec<u64>,
    total: u64,
}

/// The bucket of a latency in microseconds: its leading one and the five bits behind it (as HdrHistogram does it), without a logarithm.
pub const fn bucket_of(micros: u64) -> usize {
    let micros = if micros > LONGEST { LONGEST } else { micros };
    if micros < PER_DOUBLING as u64 {
        return micros as usize;
    }
    let shift = micros.ilog2() - PER_DOUBLING.ilog2();
    (shift * PER_DOUBLING) as usize + (micros >> shift) as usize
}

/// The shortest latency of a bucket, in microseconds.
pub const fn lower_end(bucket: usize) -> u64 {
    let per = PER_DOUBLING as usize;
    if bucket < 2 * per {
        return bucket as u64;
    }
    let shift = bucket / per - 1;
    ((bucket - shift * per) as u64) << shift
}

impl Histogram {
    /// Counts a latency.
    pub fn observe(&mut self, took: Duration) {
        self.add(bucket_of(u64::try_from(took.as_micros()).unwrap_or(LONGEST)), 1);
    }

    /// Counts so many in a bucket; buckets from [`BUCKETS`] on are none.
    pub fn add(&mut self, bucket: usize, count: u64) {
        if bucket >= BUCKETS || count == 0 {
            return;
        }
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += count;
        self.total += count;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The buckets that have a count.
    pub fn filled(&self) -> impl DoubleEndedIterator<Item = (usize, u64)> {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| (bucket, *count))
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        other.filled().for_each(|(bucket, count)| self.add(bucket, count));
    }

    /// What was counted since `before`; `None` when `before` has more, so that this is no later state of it.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut counts = self.counts.clone();
        if before.counts.len() > counts.len() {
            return None;
        }
        for (count, was) in counts.iter_mut().zip(&before.counts) {
            *count = count.checked_sub(*was)?;
        }
        Some(Self { total: self.total - before.total, counts })
    }

    /// How many are in this bucket or a slower one.
    pub fn from_bucket(&self, bucket: usize) -> u64 {
        self.counts.get(bucket..).map_or(0, |counts| counts.iter().sum())
    }

    /// The latency in microseconds that `share` (0 to 1) did not exceed: the lower end of its bucket. 0 when nothing was counted.
    pub fn percentile(&self, share: f64) -> u64 {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.filled().find(|(_, count)| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, |(bucket, _)| lower_end(bucket))
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.filled())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut histogram = Self::default();
        for (bucket, count) in Vec::<(usize, u64)>::deserialize(deserializer)? {
            histogram.add(bucket, count);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for took in micros {
            histogram.observe(Duration::from_micros(*took));
        }
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(lower_end(bucket)), bucket);
            assert!(bucket == 0 || bucket_of(lower_end(bucket) - 1) == bucket - 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_percentile_is_at_most_a_thirtieth_too_low(
            mut micros in proptest::collection::vec(1_u64..4_000_000_000, 1..300), share in 0.01_f64..=1.0,
        ) {
            let found = of(&micros).percentile(share) as f64;
            micros.sort_unstable();
            let exact = micros[((micros.len() as f64 * share).ceil() as usize).max(1) - 1] as f64;
            prop_assert!(found <= exact && exact <= found * (1.0 + 1.0 / 32.0) + 1.0, "{exact} {found}");
        }

        #[test]
        fn what_two_routers_saw_is_what_one_would_have_seen(
            a in proptest::collection::vec(0_u64..100_000, 0..50), b in proptest::collection::vec(0_u64..100_000, 0..50),
        ) {
            let (mut merged, both) = (of(&a), of(&[a.clone(), b.clone()].concat()));
            merged.merge(&of(&b));
            prop_assert_eq!(&merged, &both);
            prop_assert_eq!(both.since(&of(&a)).unwrap().filled().collect::<Vec<_>>(), of(&b).filled().collect::<Vec<_>>());
            let stored = serde_json::to_string(&both).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&stored).unwrap(), both);
        }
    }
}
