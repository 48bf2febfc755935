//! How long to wait before the next try.

use std::time::Duration;

/// Exponential back-off with full jitter: those who failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure; each further failure doubles it.
    pub first: Duration,
    /// The longest wait of all.
    pub most: Duration,
}

impl Backoff {
    /// The longest wait after so many failures in a row; none after none.
    pub fn longest(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        self.first.saturating_mul(1 << doublings.min(30)).min(self.most)
    }

    /// The wait after so many failures in a row; `draw` is from 0 to 1.
    pub fn pause(&self, failures: u32, draw: f64) -> Duration {
        self.longest(failures).mul_f64(draw.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };

    #[test]
    fn the_longest_wait_doubles_up_to_the_most() {
        let longest: Vec<_> = (0..9).map(|failures| BACKOFF.longest(failures).as_millis()).collect();
        assert_eq!(longest, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    proptest! {
        #[test]
        fn a_wait_is_the_drawn_part_of_the_longest(failures in 0_u32.., draw in 0.0_f64..=1.0) {
            let (pause, longest) = (BACKOFF.pause(failures, draw), BACKOFF.longest(failures));
            prop_assert!(pause <= longest && longest <= BACKOFF.most);
            prop_assert!((pause.as_secs_f64() - longest.as_secs_f64() * draw).abs() < 1e-6);
        }
    }
}
