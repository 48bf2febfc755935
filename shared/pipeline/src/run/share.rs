//! How much of the time that is left a try may take.

use std::time::Duration;

/// Of the time that is `left`, what the next of `tries` may take, where others are still to come; with `spare`, something is kept for what comes after the step,
/// since its failure is not the end.
///
/// The last try of a step that everything hangs on may take all.
pub(super) fn share(left: Duration, tries: usize, spare: bool) -> Duration {
    left / u32::try_from(tries.max(1) + usize::from(spare)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tries_never_take_more_than_there_is_and_none_goes_without(left in 1_000_u64..10_000_000, tries in 1_usize..12, spare: bool) {
            let whole = Duration::from_micros(left);
            let mut rest = whole;
            for to_come in (1..=tries).rev() {
                let share = share(rest, to_come, spare);
                prop_assert!(!share.is_zero() && share <= rest);
                rest -= share;
            }
            prop_assert!(spare == (rest > Duration::from_micros(1)) || !spare);
            prop_assert!(!spare || rest >= whole / u32::try_from(tries + 2).unwrap());
        }
    }
}
