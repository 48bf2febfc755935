//! Whether a call that failed is sent again, and when.

use std::time::Duration;

use tonic::Code;
use torchmesh_retry::Hint;

use super::RetryPolicy;

/// What is known of a call that failed before it answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) code: Code,
    pub(super) hint: Hint,
    /// Tries so far, from 1.
    pub(super) tries: u32,
    /// How much of its time is left, where it has a deadline.
    pub(super) left: Option<Duration>,
}

/// How long to wait before the next try; `None` when there is to be none. `draw` is from 0 to 1. Whether the budget allows it is the caller's to ask.
pub(super) fn pause(policy: &RetryPolicy, failed: &Failed, draw: f64) -> Option<Duration> {
    let asked = match (failed.code, failed.hint) {
        (Code::Unavailable | Code::ResourceExhausted, Hint::After(wait)) => Some(wait),
        (Code::Unavailable, Hint::Silent) => Some(Duration::ZERO),
        // Another time it would end the same, or is not wanted.
        _ => None,
    }?;
    if failed.tries >= policy.max_tries || asked > policy.longest_wait {
        return None;
    }
    let pause = asked.saturating_add(policy.backoff.pause(failed.tries, draw));
    // A try that could not be answered in time would only be work for nobody.
    failed.left.is_none_or(|left| pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOST: Failed = Failed { code: Code::Unavailable, hint: Hint::Silent, tries: 1, left: None };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_what_may_pass_another_time_is_sent_again() {
        let policy = RetryPolicy::default();
        for code in (0..=16).map(Code::from_i32) {
            let after = Failed { code, hint: Hint::After(seconds(1)), ..LOST };
            let (silent, may) = (Failed { code, ..LOST }, matches!(code, Code::Unavailable | Code::ResourceExhausted));
            assert_eq!(pause(&policy, &after, 0.0).is_some(), may, "{code:?} with a hint");
            assert_eq!(pause(&policy, &silent, 0.0).is_some(), code == Code::Unavailable, "{code:?} without one");
            assert_eq!(pause(&policy, &Failed { code, hint: Hint::Never, ..LOST }, 0.0), None, "{code:?} that is not wanted again");
        }
    }

    #[test]
    fn a_wait_that_is_longer_than_the_policy_has_patience_is_not_begun() {
        let policy = RetryPolicy::default().longest_wait(seconds(30));
        let asked = |wait| pause(&policy, &Failed { hint: Hint::After(seconds(wait)), ..LOST }, 0.0);
        assert_eq!((asked(30), asked(31)), (Some(seconds(30)), None));
    }

    fn failures() -> impl Strategy<Value = Failed> {
        let hint =
            prop_oneof![Just(Hint::Silent), Just(Hint::Never), (0_u64..60_000).prop_map(|ms| Hint::After(Duration::from_millis(ms)))];
        let left = proptest::option::of((0_u64..60_000).prop_map(Duration::from_millis));
        ((0_i32..17).prop_map(Code::from_i32), hint, 1_u32..10, left).prop_map(|(code, hint, tries, left)| Failed {
            code,
            hint,
            tries,
            left,
        })
    }

    proptest! {
        #[test]
        fn no_try_is_begun_beyond_the_deadline_or_the_number_of_tries(failed in failures(), draw in 0.0_f64..=1.0, max_tries in 0_u32..10) {
            if let Some(pause) = pause(&RetryPolicy::default().max_tries(max_tries), &failed, draw) {
                prop_assert!(failed.tries < max_tries);
                prop_assert!(failed.left.is_none_or(|left| pause < left));
            }
        }

        #[test]
        fn no_wait_is_shorter_than_the_server_asked_for_nor_longer_than_back_off_and_that(failed in failures(), draw in 0.0_f64..=1.0) {
            let policy = RetryPolicy::default();
            if let Some(pause) = pause(&policy, &failed, draw) {
                let asked = if let Hint::After(asked) = failed.hint { asked } else { Duration::ZERO };
                prop_assert!(pause >= asked && pause <= asked + policy.backoff.longest(failed.tries));
            }
        }
    }
}
