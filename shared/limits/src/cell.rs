//! One caller's count for one rule.

use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    calendar::Month,
    gcra::{self, Picos},
    rule::{Allowance, Rule, Whose},
};

/// When something is decided.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By a clock that never goes back, from the beginning of this process.
    pub picos: Picos,
    /// By the calendar.
    pub wall: SystemTime,
}

/// How a limit stands for a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the call was let in.
    pub allowed: bool,
    /// How much there is left.
    pub remaining: u64,
    /// When the call would be let in; absent when it never will be, or nobody knows.
    pub retry_after: Option<Duration>,
    /// When all of it is there again.
    pub reset: Duration,
}

/// What is known of one caller's use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// Of a rate: see [`gcra`].
    pub arrival: Picos,
    /// Calls of this process that have not ended.
    pub in_flight: u32,
    /// The month that `known` and `since` belong to.
    pub month: Month,
    /// What the fleet had used when it said so last.
    pub known: u64,
    /// What this process has used since, without the fleet.
    pub since: u64,
    /// When the fleet said so, by the times that it was lost since this process began; 0 where something was decided without it since.
    pub epoch: u32,
}

impl State {
    /// What the state is after `cost` more, and how things stand then. A refusal gives the state as it was. `sharers` gateways share the limit.
    pub fn decide(self, rule: &Rule, now: &Now, cost: u64, sharers: u32) -> (Self, Standing) {
        match rule.allowance {
            Allowance::Rate(limit) => {
                let (arrival, decided) = gcra::decide_share(self.arrival, now.picos, cost, &limit, sharers);
                let gcra::Decision { allowed, remaining, retry_after, reset } = decided;
                (if allowed { Self { arrival, ..self } } else { self }, Standing { allowed, remaining, retry_after, reset })
            }
            Allowance::AtOnce(most) => {
                // At least one each: a gateway that lets nobody in serves nobody.
                let most = (most / sharers.max(1)).max(1);
                let allowed = self.in_flight < most;
                let after = if allowed { Self { in_flight: self.in_flight + 1, ..self } } else { self };
                let remaining = most.saturating_sub(after.in_flight).into();
                (after, Standing { allowed, remaining, retry_after: None, reset: Duration::ZERO })
            }
            Allowance::Month(most) => {
                let month = Month::of(now.wall);
                let mine = if self.month == month { self } else { Self { month, known: 0, since: 0, ..self } };
                let free = (most.saturating_sub(mine.known) / u64::from(sharers.max(1))).saturating_sub(mine.since);
                let reset = month.left(now.wall);
                if cost > free {
                    // Before the month is over only somebody's settling makes room, and nobody knows when; for what never fits there is no time.
                    let retry_after = (cost <= most).then_some(reset);
                    return (mine, Standing { allowed: false, remaining: free, retry_after, reset });
                }
                (Self { since: mine.since + cost, ..mine }, Standing { allowed: true, remaining: free - cost, retry_after: None, reset })
            }
        }
    }

    /// Corrects the state by what turned out to be used of what was reserved.
    #[must_use]
    pub fn settle(self, rule: &Rule, now: &Now, reserved: u64, used: u64, sharers: u32) -> Self {
        match rule.allowance {
            Allowance::Rate(limit) => {
                Self { arrival: gcra::settle(self.arrival, now.picos, reserved, used, &limit.share_of(sharers)), ..self }
            }
            Allowance::AtOnce(_) => Self { in_flight: self.in_flight.saturating_sub(1), ..self },
            Allowance::Month(_) => {
                // What belonged to a month that is over is settled there, or not at all.
                if self.month != Month::of(now.wall) {
                    return self;
                }
                if used >= reserved {
                    return Self { since: self.since.saturating_add(used - reserved), ..self };
                }
                let back = reserved - used;
                let from_since = back.min(self.since);
                Self { since: self.since - from_since, known: self.known.saturating_sub(back - from_since), ..self }
            }
        }
    }

    /// Whether nothing would be lost by forgetting it.
    pub fn is_idle(&self, now: &Now) -> bool {
        self.in_flight == 0 && self.arrival <= now.picos && !self.counts_month(now)
    }

    /// Whether it is the count of the present month.
    pub fn counts_month(&self, now: &Now) -> bool {
        self.known + self.since > 0 && self.month == Month::of(now.wall)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Cell {
    rule: u64,
    of: Box<str>,
    whose: Box<str>,
    name: Box<str>,
    state: Mutex<State>,
}

impl Cell {
    /// One that has used nothing; the fleet knows it by a name with this prefix.
    pub fn new(prefix: &str, rule: u64, whose: &Whose<'_>) -> Self {
        // Whose it is can have any character; what stands in front of it cannot.
        let name = format!("{prefix}:{rule:016x}:{}/{}", whose.of, whose.name);
        Self { rule, of: whose.of.into(), whose: whose.name.into(), name: name.into(), state: Mutex::default() }
    }

    /// Whether it is this caller's count for this rule.
    pub fn is(&self, rule: u64, whose: &Whose<'_>) -> bool {
        self.rule == rule && *self.whose == *whose.name && *self.of == *whose.of
    }

    /// What it is found by.
    pub(crate) fn found_by(&self) -> (u64, Whose<'_>) {
        (self.rule, Whose { of: &self.of, name: &self.whose })
    }

    /// How the fleet calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state, for nobody else meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::file::Rules;

    fn rule(text: &str) -> Rule {
        let rules = Rules::parse(&format!("[[limit]]\nper = 'tenant'\n{text}")).unwrap();
        (*rules.limits[0]).clone()
    }

    fn now(days: u64) -> Now {
        Now { picos: 0, wall: UNIX_EPOCH + Duration::from_secs(days * 86_400) }
    }

    #[test]
    fn a_quota_is_whole_again_when_the_month_is_over() {
        let quota = rule("requests = '10/month'");
        let (full, standing) = State::default().decide(&quota, &now(0), 10, 1);
        assert!(standing.allowed);
        let (_, refused) = full.decide(&quota, &now(30), 1, 1);
        assert_eq!((refused.allowed, refused.retry_after), (false, Some(Duration::from_secs(86_400))));
        assert!(full.decide(&quota, &now(31), 1, 1).1.allowed);
    }

    #[test]
    fn a_quotas_rest_is_shared_when_the_fleet_is_gone() {
        let quota = rule("requests = '100/month'");
        let state = State { known: 70, month: Month::of(now(3).wall), ..State::default() };
        let (state, standing) = state.decide(&quota, &now(3), 10, 3);
        assert!(standing.allowed && standing.remaining == 0);
        assert!(!state.decide(&quota, &now(3), 1, 3).1.allowed);
    }

    #[test]
    fn as_many_calls_at_once_as_are_allowed_and_one_that_ends_makes_room() {
        let two = rule("concurrent = 2");
        let (state, _) = State::default().decide(&two, &now(0), 1, 1);
        let (state, second) = state.decide(&two, &now(0), 1, 1);
        assert!(second.allowed && !state.decide(&two, &now(0), 1, 1).1.allowed);
        assert!(state.settle(&two, &now(0), 1, 0, 1).decide(&two, &now(0), 1, 1).1.allowed);
    }

    proptest! {
        #[test]
        fn a_quota_is_never_overspent_and_what_fits_is_never_refused(most in 1_u64..500, costs in proptest::collection::vec((1_u64..60, 0_u64..60), 1..60)) {
            let quota = rule(&format!("tokens = '{most}/month'"));
            let (mut state, mut used) = (State::default(), 0);
            for (reserved, actual) in costs {
                let (next, standing) = state.decide(&quota, &now(9), reserved, 1);
                prop_assert_eq!(standing.allowed, used + reserved <= most);
                state = next;
                if standing.allowed {
                    let actual = actual.min(reserved);
                    state = state.settle(&quota, &now(9), reserved, actual, 1);
                    used += actual;
                }
                prop_assert!(used <= most && state.since == used);
            }
        }
    }
}
