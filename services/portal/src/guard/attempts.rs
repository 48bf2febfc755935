//! Attempts that failed, by the address that they came from. The accounts count by the address of the letter box as well; this is for whoever tries one password with many of those.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// So many callers are remembered; with more, the one who began longest ago is forgotten.
const MOST: usize = 50_000;

/// See the module.
#[derive(Debug)]
pub struct Attempts {
    most: u32,
    window: Duration,
    counted: Mutex<HashMap<String, Counted>>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Instant,
    failures: u32,
}

impl Attempts {
    /// So many within the window.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, counted: Mutex::default() }
    }

    /// Counts one more as failed, until [`Self::forgive`]: many that come at once must not all be the last one.
    ///
    /// Error: one too many; how long to wait.
    pub fn attempt(&self, caller: &str, now: Instant) -> Result<(), Duration> {
        let mut counted = self.counted.lock();
        if counted.len() >= MOST && !counted.contains_key(caller) {
            make_room(&mut counted, self.window, now);
        }
        let entry = counted.entry(caller.to_owned()).or_insert(Counted { since: now, failures: 0 });
        if now.saturating_duration_since(entry.since) >= self.window {
            *entry = Counted { since: now, failures: 0 };
        }
        if entry.failures >= self.most {
            return Err(self.window.saturating_sub(now.saturating_duration_since(entry.since)));
        }
        entry.failures += 1;
        Ok(())
    }

    /// The attempt was a good one.
    pub fn forgive(&self, caller: &str) {
        if let Some(entry) = self.counted.lock().get_mut(caller) {
            entry.failures = entry.failures.saturating_sub(1);
        }
    }
}

fn make_room(counted: &mut HashMap<String, Counted>, window: Duration, now: Instant) {
    counted.retain(|_, entry| now.saturating_duration_since(entry.since) < window);
    if counted.len() >= MOST
        && let Some(oldest) = counted.iter().min_by_key(|(_, entry)| entry.since).map(|(caller, _)| caller.clone())
    {
        counted.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn good_attempts_do_not_count_and_others_are_not_held_up() {
        let (attempts, now) = (Attempts::new(2, WINDOW), Instant::now());
        for _ in 0..10 {
            attempts.attempt("a", now).unwrap();
            attempts.forgive("a");
        }
        attempts.attempt("a", now).unwrap();
        attempts.attempt("a", now).unwrap();
        assert_eq!(attempts.attempt("a", now + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        attempts.attempt("b", now).unwrap();
    }

    proptest! {
        #[test]
        fn in_no_window_that_began_with_an_attempt_do_more_pass_than_may(gaps in prop::collection::vec(0_u64..40, 1..60), most in 1_u32..6) {
            let (attempts, mut now) = (Attempts::new(most, WINDOW), Instant::now());
            let (mut since, mut passed) = (now, 0);
            for (at, gap) in gaps.into_iter().enumerate() {
                now += Duration::from_secs(gap);
                if at == 0 || now.duration_since(since) >= WINDOW {
                    (since, passed) = (now, 0);
                }
                match attempts.attempt("a", now) {
                    Ok(()) => passed += 1,
                    Err(wait) => prop_assert!(wait <= WINDOW && passed == most),
                }
                prop_assert!(passed <= most);
            }
        }
    }
}
