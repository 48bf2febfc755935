//! When a message is sent again, and when it is given up: plain functions of time and chance.

use std::time::Duration;

use super::WebhookSettings;

/// Each wait is so many times the one before.
const GROWS: u32 = 4;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// So many attempts of a message keep those behind it back; then they pass it, so that one which a receiver never takes does not stop the rest.
const HOLDS: i64 = 5;

/// What becomes of a message after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is sent again.
    Again {
        /// When.
        at_ms: i64,
        /// Whether what is behind it waits until then.
        holds: bool,
    },
    /// It is given up.
    Dead,
}

/// How long to wait after so many attempts that failed; `chance` is from 0 to 1, and spreads waits by a fifth to either side.
pub(super) fn wait(failed: i64, first: Duration, chance: f64) -> Duration {
    let steps = u32::try_from((failed - 1).clamp(0, 30)).unwrap_or_default();
    let grown = first.saturating_mul(GROWS.saturating_pow(steps));
    grown.min(LONGEST).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
}

/// What becomes of a message whose first attempt was at `first_ms`, after so many that failed, the last one now.
pub(super) fn next(failed: i64, first_ms: i64, now: i64, settings: &WebhookSettings, chance: f64) -> Next {
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let at_ms = now.saturating_add(ms(wait(failed, settings.retry_first, chance)));
    if at_ms > first_ms.saturating_add(ms(settings.retry_for)) {
        return Next::Dead;
    }
    Next::Again { at_ms, holds: failed < HOLDS }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_default_there_are_a_dozen_attempts_within_three_days() {
        let settings = WebhookSettings::default();
        let (mut now, mut failed, mut waits) = (0, 0, Vec::new());
        loop {
            failed += 1;
            match next(failed, 0, now, &settings, 0.5) {
                Next::Again { at_ms, .. } => {
                    waits.push((at_ms - now) / 1000);
                    now = at_ms;
                }
                Next::Dead => break,
            }
        }
        assert_eq!(waits, [5, 20, 80, 320, 1280, 5120, 20_480, 43_200, 43_200, 43_200, 43_200, 43_200]);
    }

    proptest! {
        #[test]
        fn waits_grow_up_to_a_bound_and_are_spread(failed in 1_i64..1000, first_ms in 10_u64..3_600_000, chance in 0.0..1.0_f64) {
            let first = Duration::from_millis(first_ms);
            let at = |failed, chance| wait(failed, first, chance);
            prop_assert!(at(failed, chance) <= at(failed + 1, chance));
            prop_assert!(at(failed, chance) <= LONGEST.mul_f64(1.2));
            prop_assert!(at(failed, 0.0) <= at(failed, chance) && at(failed, chance) <= at(failed, 1.0));
            prop_assert!(at(failed, chance) >= first.min(LONGEST).mul_f64(0.79));
        }

        #[test]
        fn nothing_is_sent_after_its_time_and_only_the_first_attempts_hold(
            failed in 1_i64..100, first_ms in 0_i64..1_000_000, later in 0_i64..400_000_000, chance in 0.0..1.0_f64,
        ) {
            let settings = WebhookSettings::default();
            let now = first_ms + later;
            if let Next::Again { at_ms, holds } = next(failed, first_ms, now, &settings, chance) {
                prop_assert!(now < at_ms && at_ms <= first_ms + 3 * 24 * 3_600_000);
                prop_assert_eq!(holds, failed < HOLDS);
            }
        }
    }
}
