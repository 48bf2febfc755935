//! Counting together with other gateways, through Redis.
//!
//! Each data thread is a [`Lane`] with a connection of its own. A call asks for all its counts in one round trip, and the server's clock alone is gone by. When
//! the server is away or slow the lane has no link, calls are decided here at once, and the lane looks for the server by itself until it is back.

mod ask;
mod lane;
mod link;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use redis::Client;

pub use ask::{Correction, corrections};
pub use lane::Lane;
pub use link::Link;

/// So many quotas can be behind; more than any gateway has.
const MOST_OWED: usize = 100_000;

/// How the server is reached.
#[derive(Clone)]
pub struct FleetSettings {
    /// The server, with the password.
    pub client: Client,
    /// How long a call waits for the server.
    pub timeout: Duration,
    /// What the names of everything there begin with.
    pub prefix: String,
    /// How many gateways there are, until the server has said so.
    pub gateways: u32,
}

impl std::fmt::Debug for FleetSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the client: it has the password.
        f.debug_struct("FleetSettings").field("timeout", &self.timeout).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What the lanes of a process have in common.
#[derive(Debug)]
pub struct Fleet {
    client: Client,
    timeout: Duration,
    prefix: String,
    /// This process, for as long as it lives.
    name: String,
    gateways: AtomicU32,
    links: AtomicU32,
    /// Counts from 1 how often a lane lost the server: it may have forgotten everything since.
    epoch: AtomicU32,
    linked: AtomicU32,
    away: AtomicBool,
    owed: Mutex<HashMap<String, Owed>>,
}

/// What a quota grew by while the server was away.
#[derive(Debug, Clone, Copy)]
struct Owed {
    more: i64,
    most: u64,
    life: u64,
}

impl Fleet {
    /// Knows how the server is reached; nothing is sent yet.
    pub fn new(settings: FleetSettings) -> Self {
        Self {
            client: settings.client,
            timeout: settings.timeout,
            prefix: settings.prefix,
            name: format!("{:032x}", fastrand::u128(..)),
            gateways: AtomicU32::new(settings.gateways.max(1)),
            links: AtomicU32::new(0),
            epoch: AtomicU32::new(1),
            linked: AtomicU32::new(0),
            away: AtomicBool::new(false),
            owed: Mutex::default(),
        }
    }

    /// How many gateways there are, as far as is known: so many share the limits while the server is away.
    pub fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }

    /// How many lanes have a link.
    pub fn linked(&self) -> u32 {
        self.linked.load(Ordering::Relaxed)
    }

    /// Said once, whichever lane notices first.
    fn say_away(&self, why: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            let gateways = self.gateways();
            tracing::warn!(why, gateways, "redis is away; limits are kept by this gateway's share until it is back");
        }
    }

    fn say_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("redis is back; limits are kept together with the other gateways");
        }
    }

    /// Remembers corrections of quotas that the server could not be told. The rates mend themselves.
    fn owe(&self, corrections: &[Correction]) {
        let mut owed = self.owed.lock();
        for correction in corrections.iter().filter(|correction| correction.is_quota() && correction.more != 0) {
            if owed.len() < MOST_OWED || owed.contains_key(&correction.key) {
                let entry = owed.entry(correction.key.clone());
                let sum = entry.or_insert(Owed { more: 0, most: correction.most as u64, life: correction.life });
                sum.more = sum.more.saturating_add(correction.more);
            }
        }
    }

    fn take_owed(&self) -> Vec<Correction> {
        std::mem::take(&mut *self.owed.lock())
            .into_iter()
            .map(|(key, Owed { more, most, life })| Correction::quota(key, more, most, life))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> FleetSettings {
        FleetSettings { client: Client::open(url).unwrap(), timeout: Duration::from_millis(5), prefix: "t".to_owned(), gateways: 1 }
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", settings("redis://:hidden@127.0.0.1"));
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn what_is_owed_of_one_quota_is_added_up_and_told_once() {
        let fleet = Fleet::new(settings("redis://127.0.0.1"));
        for more in [5, -2] {
            fleet.owe(&[Correction::quota("q".to_owned(), more, 9, 60)]);
        }
        let owed = fleet.take_owed();
        assert_eq!((owed.len(), owed[0].more), (1, 3));
        assert!(fleet.take_owed().is_empty());
    }
}
