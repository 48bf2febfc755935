//! The settings of a hop, read the same way by every service that has one.

use std::time::Duration;

use torchmesh_settings::{ByteSize, Section};

use crate::{
    balance::{BalanceSettings, Policy},
    breaker::{Blame, BreakerSettings},
    hedge::HedgeSettings,
};

/// When and how often a call is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// `retry.max_attempts`: tries of one call, the first included. Default 3; 1 switches retries off.
    pub max_attempts: u32,
    /// `retry.budget_ratio`: retries earned by each call. Default 0.2.
    pub budget_ratio: f64,
    /// `retry.budget_reserve`: retries that can be saved up; covers the calls that a lost endpoint had in flight. Default 1000.
    pub budget_reserve: u32,
    /// `retry.keep_bytes`: the most bytes of one request that are kept for another try. A larger one is tried once.
    pub keep_bytes: usize,
    /// `retry.head_within`: a try whose answer has not begun so long after the last of the request was sent is given up for another one, streams included; where there can be
    /// no other one, it is waited for. Default none: until the deadline.
    pub head_within: Option<Duration>,
}

impl RetrySettings {
    /// Reads the table `retry`.
    pub fn read(s: &mut Section, keep_bytes: ByteSize) -> Self {
        s.section("retry", |s| {
            let read = Self {
                max_attempts: s.or("max_attempts", 3),
                budget_ratio: s.or("budget_ratio", 0.2),
                budget_reserve: s.or("budget_reserve", 1000),
                keep_bytes: s.or("keep_bytes", keep_bytes).0,
                head_within: s.optional("head_within"),
            };
            s.check(read.max_attempts >= 1, "max_attempts", "must be at least 1: the first try counts");
            s.check((0.0..=1.0).contains(&read.budget_ratio), "budget_ratio", "must be from 0 to 1");
            let least = Duration::from_millis(1);
            s.check(read.head_within.is_none_or(|within| within >= least), "head_within", "must be at least 1ms, or not be given");
            read
        })
    }
}

/// How a hop finds its endpoint, and what it does when that one fails or is slow.
#[derive(Debug, Clone, Copy)]
pub struct RelaySettings {
    /// `retry`.
    pub retry: RetrySettings,
    /// `hedge`.
    pub hedge: HedgeSettings,
    /// `balance`.
    pub balance: BalanceSettings,
    /// `breaker`.
    pub breaker: BreakerSettings,
    /// Where endpoints have no more calls at once than they answer in good time: what that never exceeds. Default none: as many as come.
    pub adaptive: Option<usize>,
}

impl Default for RelaySettings {
    /// What a hop does without settings: retries, and no hedging.
    fn default() -> Self {
        let retry = RetrySettings { max_attempts: 3, budget_ratio: 0.2, budget_reserve: 1000, keep_bytes: 1 << 20, head_within: None };
        Self { retry, hedge: HedgeSettings::OFF, balance: BalanceSettings::default(), breaker: BreakerSettings::default(), adaptive: None }
    }
}

impl RelaySettings {
    /// Reads the four tables; `keep_bytes` and `hedge` are the service's own defaults, and so is what it blames endpoints for. Whether limits follow latency is for the service to say.
    pub fn read(s: &mut Section, keep_bytes: ByteSize, hedge: HedgeSettings, blame: Blame) -> Self {
        let read = Self {
            retry: RetrySettings::read(s, keep_bytes),
            hedge: HedgeSettings::read(s, hedge),
            balance: BalanceSettings::read(s),
            breaker: BreakerSettings::read(s, blame),
            adaptive: None,
        };
        // What a router passes on is a worker's report, and says nothing of the router.
        let reports = blame == Blame::Statuses || read.balance.policy != Policy::Reported;
        s.check(reports, "balance.policy", "must not be \"reported\" here: only workers say how long calls wait, and only to routers");
        read
    }
}
