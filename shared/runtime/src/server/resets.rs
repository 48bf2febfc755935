//! Peers that begin calls only to give them up ("rapid reset", CVE-2023-44487): beginning one costs them a few bytes, and us all that an answer
//! takes to begin. `h2` itself bounds those that nobody has accepted yet; here they are accepted as they arrive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Whoever waits for less than this has not waited for an answer.
const SOON: Duration = Duration::from_secs(1);

/// The calls of one connection, and how many of them were given up before a second was over and an answer had begun.
#[derive(Debug)]
pub(super) struct Resets {
    /// Where it begins to be too many; 0: never.
    most: u32,
    begun: u64,
    given_up: Arc<AtomicU64>,
}

/// One call, until its answer begins.
#[derive(Debug)]
pub(super) struct Waiting {
    since: Instant,
    given_up: Arc<AtomicU64>,
}

impl Resets {
    pub(super) fn new(most: u32) -> Self {
        Self { most, begun: 0, given_up: Arc::default() }
    }

    pub(super) fn begin(&mut self, since: Instant) -> Waiting {
        self.begun += 1;
        Waiting { since, given_up: Arc::clone(&self.given_up) }
    }

    /// Whether the peer has given up `most` of its calls, and more than it has waited for.
    pub(super) fn are_too_many(&self) -> bool {
        let given_up = self.given_up.load(Relaxed);
        self.most > 0 && given_up >= u64::from(self.most) && 2 * given_up > self.begun
    }
}

impl Waiting {
    /// The peer has given the call up.
    pub(super) fn given_up(self) {
        if self.since.elapsed() < SOON {
            self.given_up.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Calls that are given up after so long.
    async fn give_up(resets: &mut Resets, calls: usize, after: Duration) {
        for _ in 0..calls {
            let waiting = resets.begin(Instant::now());
            advance(after).await;
            waiting.given_up();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_as_many_as_allowed_and_more_than_half_has_given_up_too_many() {
        let mut resets = Resets::new(10);
        give_up(&mut resets, 9, Duration::ZERO).await;
        assert!(!resets.are_too_many());
        give_up(&mut resets, 1, Duration::from_millis(999)).await;
        assert!(resets.are_too_many());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_half_of_its_answers_or_for_a_second_may_give_up_the_others() {
        let mut resets = Resets::new(10);
        for _ in 0..100 {
            drop(resets.begin(Instant::now()));
            give_up(&mut resets, 1, Duration::ZERO).await;
            assert!(!resets.are_too_many());
        }
        give_up(&mut resets, 1000, SOON).await;
        assert!(!resets.are_too_many());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nothing_is_too_many() {
        let mut resets = Resets::new(0);
        give_up(&mut resets, 100_000, Duration::ZERO).await;
        assert!(!resets.are_too_many());
    }
}
