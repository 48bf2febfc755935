//! What is measured of a model's calls, whoever's they are: how long answers took, and how many calls the mesh has failed.
//!
//! Durations are kept as a histogram by model and day. Its buckets are an eighth of a doubling wide, so that a quantile is wrong by an eighth of itself at most.

use std::collections::BTreeMap;

use super::Event;

/// Calls that failed, among the buckets.
pub(crate) const FAILED: i64 = -1;
/// The buckets of a doubling, as a power of two.
const FINENESS: u32 = 3;
/// Whoever waits for less gives up in haste.
const PATIENCE_US: i64 = 10_000_000;
/// A day of UTC.
const DAY_MS: i64 = 86_400_000;

/// What tells counts from each other: model, day and bucket.
pub(super) type Place = (String, i64, i64);

/// The bucket of a call; none: it says nothing of the model.
///
/// Answers that were kept from an earlier call took no model any time. A call that its caller got wrong, left, or had no leave for is no failure of the mesh, or whoever wants to could make a model look bad; nor is
/// one that was given less than ten seconds.
fn bucket(event: &Event) -> Option<i64> {
    if event.model.is_empty() || event.from_cache {
        return None;
    }
    match event.code {
        0 => Some(bucket_of(event.duration_us.unsigned_abs())),
        // DEADLINE_EXCEEDED.
        4 => (event.duration_us >= PATIENCE_US).then_some(FAILED),
        // UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS.
        2 | 13 | 14 | 15 => Some(FAILED),
        _ => None,
    }
}

/// The bucket of a duration: numbers below 8 have one each, and every doubling from there on has eight.
fn bucket_of(us: u64) -> i64 {
    if us < 1 << FINENESS {
        return us.cast_signed();
    }
    let octave = us.ilog2() - FINENESS;
    (i64::from(octave) << FINENESS) + (us >> octave).cast_signed()
}

/// The first duration of a bucket.
fn begin_of(bucket: i64) -> i64 {
    let octave = (bucket >> FINENESS) - 1;
    if octave < 1 {
        return bucket;
    }
    ((bucket & ((1 << FINENESS) - 1)) + (1 << FINENESS)) << octave
}

/// The counts of events.
pub(super) fn count<'a>(events: impl Iterator<Item = &'a Event>) -> BTreeMap<Place, i64> {
    let mut counts = BTreeMap::new();
    for event in events {
        if let Some(bucket) = bucket(event) {
            *counts.entry((event.model.clone(), event.time_ms - event.time_ms.rem_euclid(DAY_MS), bucket)).or_default() += 1;
        }
    }
    counts
}

/// The duration within which so many thousandths of the answers had ended: between the ends of its bucket by how far into that it is.
pub(crate) fn quantile(buckets: &BTreeMap<i64, i64>, thousandths: i64) -> i64 {
    let total: i64 = buckets.values().sum();
    let rank = (i128::from(total) * i128::from(thousandths)).div_euclid(1000).max(1);
    let mut before = 0_i128;
    for (bucket, calls) in buckets {
        let calls = i128::from(*calls);
        if before + calls >= rank {
            let (begin, end) = (i128::from(begin_of(*bucket)), i128::from(begin_of(bucket + 1)));
            return i64::try_from(begin + (end - begin) * (rank - before) / calls.max(1)).unwrap_or(i64::MAX);
        }
        before += calls;
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::usage::v1::UsageEvent;

    use super::*;

    fn event(code: u32, duration_us: u64, from_cache: bool) -> Event {
        let told = UsageEvent { id: vec![0; 16], model: "m".into(), code, duration_us, from_cache, ..Default::default() };
        Event::read(&told).unwrap()
    }

    #[test]
    fn a_caller_cannot_make_a_model_look_bad() {
        let second = 1_000_000;
        for code in [1, 3, 5, 7, 8, 9, 11, 12, 16] {
            assert_eq!(bucket(&event(code, second, false)), None, "{code}");
        }
        assert_eq!(bucket(&event(4, second, false)), None, "a deadline that could not be kept");
        for (code, duration) in [(2, 1), (13, 1), (14, 1), (15, 1), (4, 10 * second)] {
            assert_eq!(bucket(&event(code, duration, false)), Some(FAILED), "{code}");
        }
        assert_eq!(bucket(&event(0, second, true)), None, "no model took that time");
    }

    proptest! {
        #[test]
        fn every_duration_is_in_its_bucket_and_buckets_follow_each_other(us in 0_u64..1 << 48) {
            let bucket = bucket_of(us);
            let (begin, end) = (begin_of(bucket).unsigned_abs(), begin_of(bucket + 1).unsigned_abs());
            prop_assert!((begin..end).contains(&us), "{us} is not from {begin} to {end}");
            prop_assert!(us < 8 || (end - begin) * 8 <= begin, "{begin} to {end} is wide");
        }

        #[test]
        fn a_quantile_is_close_to_that_of_the_durations_themselves(mut all in prop::collection::vec(1_u64..100_000_000, 1..400), thousandths in 1_i64..=1000) {
            let events: Vec<Event> = all.iter().map(|us| event(0, *us, false)).collect();
            let buckets: BTreeMap<i64, i64> = count(events.iter()).into_iter().map(|((_, _, bucket), calls)| (bucket, calls)).collect();
            all.sort_unstable();
            let rank = (all.len() as u64 * thousandths.unsigned_abs() / 1000).max(1);
            let exact = i64::try_from(all[usize::try_from(rank - 1).unwrap()]).unwrap();
            let told = quantile(&buckets, thousandths);
            prop_assert!((told - exact).abs() * 8 <= exact + 8, "{told} for {exact}");
        }
    }
}
