//! Which of the endpoints that could answer is asked.
//!
//! Each policy is a plain function over what is known of the endpoints ([`choose`], [`ring`], [`prefix`]); time and chance are arguments. What an
//! endpoint's answers cost is remembered in [`ewma`], what it says of its own queue in [`reported`], and that it does not answer in [`silence`]. How many calls it may have at once is found in [`limit`], and
//! which part of a large fleet is a hop's own in [`subset`].

pub mod choose;
pub mod ewma;
pub mod limit;
pub mod prefix;
pub mod reported;
pub mod ring;
pub mod silence;
pub mod subset;

use std::time::Duration;

use torchmesh_settings::{ByteSize, FromSetting, Section};

use self::prefix::Prefix;

/// What a call has in common with others that should go to the same endpoint.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    /// What stands for its session, which [`Policy::Hash`] looks at.
    pub session: Option<u64>,
    /// How its prompt begins: it goes to whoever has read most of that, unless that one has more than its share in flight; to where [`Policy`] says when nobody has.
    pub prefix: Option<Prefix>,
}

/// What decides where a call goes, beside what is known of the endpoints.
#[derive(Debug, Clone, Default)]
pub struct Steering {
    /// What it has in common with others.
    pub key: Option<Affinity>,
    /// The policy, where it is not the hop's own.
    pub policy: Option<Policy>,
}

/// How one endpoint of several is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The better of two drawn at random, by peak EWMA of their latency times the calls they have in flight.
    #[default]
    PeakEwma,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest calls in flight.
    LeastInFlight,
    /// The one that the call's affinity key belongs to, unless it has more than its share in flight; without a key as [`Self::PeakEwma`].
    Hash,
    /// The better of two drawn at random, by how long each says that a call would wait there; as [`Self::PeakEwma`] where one of them has not said so of late.
    Reported,
}

impl FromSetting for Policy {
    const EXPECTED: &'static str = "\"peak_ewma\", \"round_robin\", \"least_in_flight\", \"hash\" or \"reported\"";
    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        match value.as_str() {
            Some("peak_ewma") => Ok(Self::PeakEwma),
            Some("round_robin") => Ok(Self::RoundRobin),
            Some("least_in_flight") => Ok(Self::LeastInFlight),
            Some("hash") => Ok(Self::Hash),
            Some("reported") => Ok(Self::Reported),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

/// How calls are spread.
#[derive(Debug, Clone, Copy)]
pub struct BalanceSettings {
    /// `balance.policy`. Default `peak_ewma`.
    pub policy: Policy,
    /// `balance.decay`: how long a slow answer is held against an endpoint. Default 1s.
    pub decay: Duration,
    /// `balance.slow_start`: for how long a new endpoint gets less than its share, beginning with a tenth. Default 3s; 0s is none.
    pub slow_start: Duration,
    /// `balance.hash_bound`: with `hash`, the most calls in flight at one endpoint, in average shares. Default 1.25, at least 1.
    pub hash_bound: f64,
    /// `balance.prefix_bound`: the same for calls with a prefix. Default 1.5, since what a call costs where nobody has read its prompt is more than a wait.
    pub prefix_bound: f64,
    /// `balance.prefix_memory`: bytes for who has read what, for each group. Default 4MiB, at least 64KiB; what was not met for longest is forgotten.
    pub prefix_memory: ByteSize,
    /// `balance.zone_bound`: where it is known who is near, the most calls in flight at one of them before those far away get some, in average shares. Default 1.25, at least 1.
    pub zone_bound: f64,
    /// `balance.calls_per_connection`: calls at once that one data thread has on one HTTP/2 connection to an endpoint before it opens another, of which it has up to 8. Default 256, at
    /// least 1.
    pub calls_per_connection: usize,
    /// `balance.subset`: how many of a version's endpoints this process has calls for, the same ones for as long as they are there. Default none: all. At least 2.
    pub subset: Option<usize>,
}

impl Default for BalanceSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            decay: Duration::from_secs(1),
            slow_start: Duration::from_secs(3),
            hash_bound: 1.25,
            prefix_bound: 1.5,
            prefix_memory: ByteSize::mib(4),
            zone_bound: 1.25,
            calls_per_connection: 256,
            subset: None,
        }
    }
}

impl BalanceSettings {
    /// Reads the table `balance`.
    pub fn read(s: &mut Section) -> Self {
        let defaults = Self::default();
        s.section("balance", |s| {
            let read = Self {
                policy: s.or("policy", defaults.policy),
                decay: s.or("decay", defaults.decay),
                slow_start: s.or("slow_start", defaults.slow_start),
                hash_bound: s.or("hash_bound", defaults.hash_bound),
                prefix_bound: s.or("prefix_bound", defaults.prefix_bound),
                prefix_memory: s.or("prefix_memory", defaults.prefix_memory),
                zone_bound: s.or("zone_bound", defaults.zone_bound),
                calls_per_connection: s.or("calls_per_connection", defaults.calls_per_connection),
                subset: s.optional("subset"),
            };
            s.check(read.decay >= Duration::from_millis(10), "decay", "must be at least 10ms");
            s.check((1.0..=100.0).contains(&read.hash_bound), "hash_bound", "must be from 1 to 100");
            s.check((1.0..=100.0).contains(&read.prefix_bound), "prefix_bound", "must be from 1 to 100");
            s.check((1.0..=100.0).contains(&read.zone_bound), "zone_bound", "must be from 1 to 100");
            s.check(
                read.subset.is_none_or(|subset| subset >= 2),
                "subset",
                "must be at least 2, so that a call that fails can go elsewhere, or not be given",
            );
            s.check(read.calls_per_connection >= 1, "calls_per_connection", "must be at least 1");
            s.check(read.prefix_memory.0 >= 64 << 10, "prefix_memory", "must be at least 64KiB");
            read
        })
    }

    /// The share of its load that an endpoint of this age takes: 0.1 to 1.
    pub fn share(&self, age: Duration) -> f64 {
        if age >= self.slow_start { 1.0 } else { (age.as_secs_f64() / self.slow_start.as_secs_f64()).max(0.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_endpoint_begins_with_a_tenth_and_grows_to_its_share() {
        let balance = BalanceSettings { slow_start: Duration::from_secs(10), ..Default::default() };
        let percent = |balance: BalanceSettings, age| (balance.share(Duration::from_secs(age)) * 100.0).round() as u32;
        assert_eq!([0, 1, 5, 10, 60].map(|age| percent(balance, age)), [10, 10, 50, 100, 100]);
        let none = BalanceSettings { slow_start: Duration::ZERO, ..balance };
        assert_eq!(percent(none, 0), 100);
    }
}
