//! How long to wait before an instance is started again.

use std::time::Duration;

/// An instance that ran for so long was fine; its next end counts as the first.
pub(super) const STEADY: Duration = Duration::from_secs(10);

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// The wait after the `failures`-th end in a row: 0.2 s, doubling, at most 10 s.
pub(super) fn restart_delay(failures: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST)
}

/// How many ends in a row there are now, after one that came `ran` after its start.
pub(super) fn failures_in_a_row(before: u32, ran: Duration) -> u32 {
    if ran >= STEADY { 1 } else { before.saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_doubles_and_then_stays() {
        let waits: Vec<_> = (1..=8).map(|failures| restart_delay(failures).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }

    #[test]
    fn an_end_after_a_long_life_counts_as_the_first() {
        assert_eq!(failures_in_a_row(7, Duration::from_secs(9)), 8);
        assert_eq!(failures_in_a_row(7, STEADY), 1);
    }

    proptest! {
        #[test]
        fn no_count_gives_a_wait_out_of_bounds(failures: u32) {
            let wait = restart_delay(failures);
            prop_assert!((FIRST..=LONGEST).contains(&wait));
        }
    }
}
