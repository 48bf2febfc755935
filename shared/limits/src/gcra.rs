//! Rate limits by the generic cell rate algorithm: one number a caller, and nothing that has to be refilled.
//!
//! The number is the *theoretical arrival time*: when a caller who had kept exactly to the rate would have come to what it has used. While that lies
//! no further ahead than the burst is worth, there is room.

use std::time::Duration;

/// Picoseconds since some beginning: fine enough for a thousand million a second, and never used up.
pub type Picos = u128;

const SECOND: Picos = 1_000_000_000_000;

/// How much debt can be remembered, in bursts. A clock that was set back looks like debt too; it must not lock anybody out for hours.
const MOST_DEBT: Picos = 16;

/// A duration in picoseconds.
pub fn picos(duration: Duration) -> Picos {
    duration.as_nanos() * 1000
}

/// Picoseconds as a duration, rounded up: nobody comes back too early.
pub fn duration(picos: Picos) -> Duration {
    let nanos = picos.div_ceil(1000);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A sustained rate, and how much of it may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    interval: Picos,
    burst: u64,
}

impl Limit {
    /// So much in such a time, and at most `burst` at once. All are at least one.
    pub fn new(amount: u64, period: Duration, burst: u64) -> Self {
        let interval = picos(period).max(1).div_ceil(Picos::from(amount.max(1)));
        Self { interval, burst: burst.max(1) }
    }

    /// The most that may come at once.
    pub fn burst(&self) -> u64 {
        self.burst
    }

    /// The time that so much of it is worth.
    pub fn worth(&self, amount: u64) -> Picos {
        self.interval.saturating_mul(Picos::from(amount))
    }

    /// The same limit as one of so many who share it evenly has it. The state keeps its meaning: a share that is used up as far as the whole is
    /// lies as far ahead.
    #[must_use]
    pub fn share_of(&self, sharers: u32) -> Self {
        Self { interval: self.interval * Picos::from(sharers.max(1)), burst: (self.burst / u64::from(sharers.max(1))).max(1) }
    }
}

/// What was decided, and how things stand after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether there was room.
    pub allowed: bool,
    /// How much may come at once now.
    pub remaining: u64,
    /// When the same would be let in, where it was not; absent also when it never will be, since it is more than the burst.
    pub retry_after: Option<Duration>,
    /// When everything may come at once again.
    pub reset: Duration,
}

/// Decides about `cost` more, and gives the state after that. A refusal changes nothing.
pub fn decide(state: Picos, now: Picos, cost: u64, limit: &Limit) -> (Picos, Decision) {
    let level = level(state, now, limit);
    let (room, wanted) = (limit.worth(limit.burst), limit.worth(cost));
    if wanted > room {
        return (now + level, standing(level, limit, false, None));
    }
    let after = level + wanted;
    if after > room {
        return (now + level, standing(level, limit, false, Some(duration(after - room))));
    }
    (now + after, standing(after, limit, true, None))
}

/// The same for one who has only a share of the limit: what is more than the share is let in when nothing else was used, and is paid for
/// afterwards. Without that, a large call would find no room anywhere.
pub fn decide_share(state: Picos, now: Picos, cost: u64, limit: &Limit, sharers: u32) -> (Picos, Decision) {
    let share = limit.share_of(sharers);
    let fits_only_whole = cost > share.burst && cost <= limit.burst;
    let level = level(state, now, limit);
    if sharers <= 1 || !fits_only_whole {
        return decide(state, now, cost, &share);
    }
    if level > 0 {
        return (now + level, standing(level, &share, false, Some(duration(level))));
    }
    let after = share.worth(cost);
    (now + after, standing(after, &share, true, None))
}

/// How things stand, without asking for anything.
pub fn look(state: Picos, now: Picos, limit: &Limit) -> Decision {
    standing(level(state, now, limit), limit, true, None)
}

/// Corrects the state when what was reserved turns out to have been `reserved`, and what was used `used`.
pub fn settle(state: Picos, now: Picos, reserved: u64, used: u64, limit: &Limit) -> Picos {
    let level = level(state, now, limit);
    let (reserved, used) = (limit.worth(reserved), limit.worth(used));
    let level = if used >= reserved { level.saturating_add(used - reserved) } else { level.saturating_sub(reserved - used) };
    now + level.min(most(limit))
}

/// How far ahead the state lies: what is used and not yet earned back.
fn level(state: Picos, now: Picos, limit: &Limit) -> Picos {
    state.saturating_sub(now).min(most(limit))
}

fn most(limit: &Limit) -> Picos {
    limit.worth(limit.burst).saturating_mul(MOST_DEBT).max(SECOND)
}

fn standing(level: Picos, limit: &Limit, allowed: bool, retry_after: Option<Duration>) -> Decision {
    let free = limit.worth(limit.burst).saturating_sub(level) / limit.interval;
    Decision { allowed, remaining: u64::try_from(free).unwrap_or(u64::MAX), retry_after, reset: duration(level) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Picos {
        picos(Duration::from_millis(millis)) + 1_000_000 * SECOND
    }

    #[test]
    fn a_burst_is_let_in_at_once_and_the_next_is_told_when_to_come_back() {
        let limit = Limit::new(7, Duration::from_secs(60), 7);
        let mut state = 0;
        for left in (0..7).rev() {
            let (next, decision) = decide(state, at(0), 1, &limit);
            assert_eq!((decision.allowed, decision.remaining), (true, left));
            state = next;
        }
        let (same, refused) = decide(state, at(0), 1, &limit);
        assert!(!refused.allowed && same == state);
        let wait = refused.retry_after.unwrap();
        assert!(decide(state, at(0) + picos(wait), 1, &limit).1.allowed);
        assert!(!decide(state, at(0) + picos(wait) - 2000, 1, &limit).1.allowed);
    }

    #[test]
    fn more_than_a_burst_never_fits_and_no_time_is_told() {
        let (_, decision) = decide(0, at(0), 11, &Limit::new(10, Duration::from_secs(1), 10));
        assert_eq!((decision.allowed, decision.retry_after), (false, None));
    }

    #[test]
    fn what_was_reserved_and_not_used_makes_room_again_and_what_was_used_beyond_it_is_owed() {
        let limit = Limit::new(1000, Duration::from_secs(60), 1000);
        let (state, _) = decide(0, at(0), 900, &limit);
        assert_eq!(look(settle(state, at(0), 900, 100, &limit), at(0), &limit).remaining, 900);
        let owing = settle(state, at(0), 900, 2000, &limit);
        assert_eq!(look(owing, at(0), &limit).remaining, 0);
        assert!(!decide(owing, at(59_000), 1, &limit).1.allowed);
        assert!(decide(owing, at(61_000), 1, &limit).1.allowed);
    }

    #[test]
    fn a_share_keeps_the_rate_of_the_whole_and_lets_a_large_call_in_when_it_is_full() {
        let limit = Limit::new(900, Duration::from_secs(900), 90);
        let (mut state, mut let_in) = (0, 0);
        for second in 0..900 {
            let (next, decision) = decide_share(state, at(second * 1000), 1, &limit, 3);
            (state, let_in) = (next, let_in + u64::from(decision.allowed));
        }
        assert!((300..=331).contains(&let_in), "{let_in}");
        let (owing, large) = decide_share(0, at(0), 80, &limit, 3);
        assert!(large.allowed);
        assert!(!decide_share(owing, at(200_000), 80, &limit, 3).1.allowed);
        assert!(decide_share(owing, at(240_000), 80, &limit, 3).1.allowed);
    }

    proptest! {
        #[test]
        fn no_window_lets_in_more_than_the_burst_and_the_rate(
            amount in 1_u64..2000, period in 1_u64..90, burst in 1_u64..500, calls in proptest::collection::vec((0_u64..2000, 1_u64..40), 1..120),
        ) {
            let limit = Limit::new(amount, Duration::from_secs(period), burst);
            let (mut state, mut now, mut let_in) = (0, 0, Vec::new());
            for (pause, cost) in calls {
                now += pause;
                let (next, decision) = decide(state, at(now), cost, &limit);
                state = next;
                if decision.allowed {
                    let_in.push((now, cost));
                }
            }
            for (from, (start, _)) in let_in.iter().enumerate() {
                let mut sum = 0;
                for (end, cost) in &let_in[from..] {
                    sum += cost;
                    let earned = Picos::from(amount) * Picos::from(end - start) / Picos::from(period * 1000);
                    prop_assert!(Picos::from(sum) <= Picos::from(burst) + earned + 1, "{sum} from {start} to {end}");
                }
            }
        }

        #[test]
        fn what_fits_later_or_smaller_fits_whenever_more_fits_sooner(state in 0_u128..100 * SECOND, cost in 1_u64..100, less in 0_u64..100, wait in 0_u64..100_000) {
            let limit = Limit::new(100, Duration::from_secs(10), 80);
            let now = 50 * SECOND;
            if decide(state, now, cost, &limit).1.allowed {
                prop_assert!(decide(state, now, cost.saturating_sub(less), &limit).1.allowed);
                prop_assert!(decide(state, now + picos(Duration::from_millis(wait)), cost, &limit).1.allowed);
            }
        }

        #[test]
        fn a_clock_that_is_set_back_lets_nobody_in_too_early_and_locks_nobody_out_for_long(back in 0_u128..10_000 * SECOND, used in 1_u64..10) {
            let limit = Limit::new(10, Duration::from_secs(10), 10);
            let now = 100_000 * SECOND;
            let (state, _) = decide(0, now, used, &limit);
            let earlier = now - back;
            let (after, decision) = decide(state, earlier, 10, &limit);
            prop_assert!(!decision.allowed);
            prop_assert!(after <= earlier + 161 * SECOND);
        }

        #[test]
        fn settling_what_was_reserved_changes_nothing_and_order_does_not_matter(a in 0_u64..50, b in 0_u64..50) {
            let limit = Limit::new(100, Duration::from_secs(10), 100);
            let now = 7 * SECOND;
            let (state, _) = decide(0, now, 100, &limit);
            prop_assert_eq!(settle(state, now, a, a, &limit), state);
            let one = settle(settle(state, now, 50, a, &limit), now, 50, b, &limit);
            let other = settle(settle(state, now, 50, b, &limit), now, 50, a, &limit);
            prop_assert_eq!(one, other);
            prop_assert_eq!(look(one, now, &limit).remaining, 100 - a - b);
        }
    }
}
