//! Wrong secrets, counted: whoever shows too many of them is not listened to for the rest of the minute.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// As many as are told apart. Others share a counter with them, and are refused too early for a minute at worst.
const PLACES: usize = 8192;
/// Within one of these, attempts are counted together, in seconds.
const WINDOW: u64 = 60;

/// See the module. Each place is a window in the upper half and a count in the lower.
#[derive(Debug)]
pub(super) struct Attempts {
    places: Box<[AtomicU64]>,
    /// Its seeds are drawn anew in each process: nobody can choose names that share a counter.
    hasher: RandomState,
    most: u32,
}

impl Attempts {
    /// So many wrong secrets a minute.
    pub(super) fn new(most: u32) -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new(), most }
    }

    fn place(&self, who: (&str, Option<std::net::IpAddr>)) -> &AtomicU64 {
        &self.places[(self.hasher.hash_one(who) % PLACES as u64) as usize]
    }

    /// Whether one may try at `now`, in seconds; if not, after how many seconds.
    pub(super) fn may_try(&self, who: (&str, Option<std::net::IpAddr>), now: u64) -> Result<(), u64> {
        let (window, count) = parts(self.place(who).load(Ordering::Relaxed));
        let over = window == window_of(now) && count >= self.most;
        if over { Err(WINDOW - now % WINDOW) } else { Ok(()) }
    }

    /// Notes a wrong secret.
    pub(super) fn failed(&self, who: (&str, Option<std::net::IpAddr>), now: u64) {
        let next = |before: u64| {
            let (window, count) = parts(before);
            let count = if window == window_of(now) { count.saturating_add(1) } else { 1 };
            Some(u64::from(window_of(now)) << 32 | u64::from(count))
        };
        // The closure always gives a value.
        let _ = self.place(who).fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

fn window_of(now: u64) -> u32 {
    (now / WINDOW) as u32
}

fn parts(place: u64) -> (u32, u32) {
    ((place >> 32) as u32, place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_wrong_secrets_are_refused_until_the_minute_is_over_and_only_for_those_who_showed_them() {
        let attempts = Attempts::new(3);
        let (here, there) = (Some([10, 0, 0, 1].into()), Some([10, 0, 0, 2].into()));
        for _ in 0..3 {
            assert_eq!(attempts.may_try(("batch", here), 70), Ok(()));
            attempts.failed(("batch", here), 70);
        }
        assert_eq!(attempts.may_try(("batch", here), 80), Err(40));
        assert_eq!(attempts.may_try(("batch", here), 120), Ok(()));
        assert_eq!(attempts.may_try(("batch", there), 80), Ok(()), "the client itself, elsewhere");
        attempts.failed(("batch", here), 120);
        assert_eq!(attempts.may_try(("batch", here), 121), Ok(()));
    }
}
