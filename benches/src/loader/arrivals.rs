//! When the calls of an open loop are due: at even distances, or at random.

use std::time::Duration;

/// The moments, since the start, at which calls are due. Endless.
#[derive(Debug)]
pub(super) struct Arrivals {
    rate: f64,
    /// What the distances are drawn from; none for even ones.
    random: Option<fastrand::Rng>,
    /// The next moment, in seconds.
    next: f64,
}

impl Arrivals {
    /// `rate` calls a second on average. With a seed they come as a Poisson process, as many callers who do not know of each other do; the same seed
    /// gives the same moments.
    pub(super) fn new(rate: f64, seed: Option<u64>) -> Self {
        Self { rate, random: seed.map(fastrand::Rng::with_seed), next: 0.0 }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let due = self.next;
        let distance = self.random.as_mut().map_or(1.0, |random| -(1.0 - random.f64()).ln());
        self.next += distance / self.rate;
        Some(Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_distances_are_even() {
        let due: Vec<_> = Arrivals::new(4.0, None).take(5).collect();
        assert_eq!(due, [0, 250, 500, 750, 1000].map(Duration::from_millis));
    }

    #[test]
    fn random_arrivals_keep_the_rate_and_their_seed_and_come_in_clusters() {
        let due: Vec<_> = Arrivals::new(100.0, Some(7)).take(10_001).collect();
        let seconds = due[10_000].as_secs_f64();
        assert!((95.0..105.0).contains(&seconds), "10,000 calls at 100 a second took {seconds} s");
        assert_eq!(due, Arrivals::new(100.0, Some(7)).take(10_001).collect::<Vec<_>>());
        assert_ne!(due, Arrivals::new(100.0, Some(8)).take(10_001).collect::<Vec<_>>());
        // Of a Poisson process, the share 1 - 1/e of all distances is below the mean one.
        let short = due.windows(2).filter(|pair| pair[1].saturating_sub(pair[0]) < Duration::from_millis(10)).count();
        assert!((6_200..6_450).contains(&short), "{short} of 10,000 distances are below the mean");
    }
}
