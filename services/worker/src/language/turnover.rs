//! How long a new sequence would wait for its place in a language model.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use torchmesh_generation::Figures;

use crate::admission::Load;

/// How much of one answer's time goes into the average.
const WEIGHT: f64 = 1.0 / 8.0;

/// How long answers hold their places, on average. Two that end at once may count as one.
#[derive(Debug, Default)]
pub struct Turnover {
    /// Microseconds, as the bits of an `f64`. 0: none has ended.
    held: AtomicU64,
}

impl Turnover {
    /// An answer ended that was being written for so long.
    pub fn held(&self, time: Duration) {
        let (time, average) = (time.as_secs_f64() * 1e6, self.average());
        let next = if average > 0.0 { average + (time - average) * WEIGHT } else { time };
        self.held.store(next.to_bits(), Ordering::Relaxed);
    }

    /// How busy a model is that stands so and writes at most `max_running` sequences at once. Places are freed as often as answers end; who comes behind as many as there are places waits for
    /// one, and for one more for each that waits before it.
    pub fn load(&self, figures: &Figures, max_running: usize) -> Load {
        let places = places(figures, max_running);
        let behind = (figures.running + figures.waiting + 1).saturating_sub(places);
        let wait = self.average() * behind as f64 / places as f64;
        Load { depth: figures.waiting as u64, wait_us: wait as u64 }
    }

    fn average(&self) -> f64 {
        f64::from_bits(self.held.load(Ordering::Relaxed))
    }
}

/// How many sequences have their place at once: as many as are allowed, or as the cache holds of the size of those that run.
fn places(figures: &Figures, max_running: usize) -> usize {
    let held = (figures.blocks * figures.running).checked_div(figures.blocks_used).unwrap_or(max_running);
    held.clamp(1, max_running.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figures(running: usize, waiting: usize, blocks_used: usize) -> Figures {
        Figures { running, waiting, blocks: 100, blocks_used, ..Figures::default() }
    }

    fn turnover(held_ms: u64) -> Turnover {
        let turnover = Turnover::default();
        turnover.held(Duration::from_millis(held_ms));
        turnover
    }

    #[test]
    fn while_there_are_places_nobody_waits_and_then_for_one_that_ends() {
        let wait = |running, waiting, blocks_used| turnover(800).load(&figures(running, waiting, blocks_used), 8).wait_us;
        assert_eq!(wait(0, 0, 0), 0);
        // What was sent just now has not got its place yet.
        assert_eq!(wait(0, 1, 0), 0);
        assert_eq!(wait(7, 0, 50), 0);
        // One of eight ends every 100 ms.
        assert_eq!(wait(8, 0, 50), 100_000);
        assert_eq!(wait(8, 3, 50), 400_000);
        // The cache holds no more than four of this size.
        assert_eq!(wait(4, 1, 100), 400_000);
    }

    #[test]
    fn before_an_answer_has_ended_only_the_number_of_those_who_wait_is_known() {
        assert_eq!(Turnover::default().load(&figures(8, 5, 100), 8), Load { depth: 5, wait_us: 0 });
    }

    proptest! {
        #[test]
        fn whoever_comes_later_waits_no_less(running in 0_usize..20, waiting in 0_usize..50, used in 0_usize..=100, most in 0_usize..20, held in 1_u64..100_000) {
            let of = |waiting| turnover(held).load(&figures(running, waiting, used), most).wait_us;
            prop_assert!(of(waiting + 1) >= of(waiting));
        }
    }
}
