//! Which instances are used, when Consul says that some are in trouble or has forgotten them.
//!
//! Consul's checks are seconds late and fail for reasons of their own (an agent that is away, a heartbeat that was late), while whoever uses the list
//! probes its instances many times a second. So a list never shrinks in haste: an instance leaves at once only when it said so itself.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::Instant;
use torchmesh_api::ids::InstanceId;

use super::position::Memory;
use crate::{Instance, Zone};

/// What Consul says of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) instance: Instance,
    /// Whether all its checks pass.
    pub(super) passing: bool,
}

/// How an instance in use is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// A check of it fails.
    Critical(Instant),
    /// A Consul that lost its memory does not know it, or not yet.
    Forgotten(Instant),
}

impl Health {
    fn since(self) -> Option<Instant> {
        match self {
            Self::Well => None,
            Self::Critical(since) | Self::Forgotten(since) => Some(since),
        }
    }
}

/// What an instance is known by: one that says that it is in another zone is the same.
type Known = (InstanceId, SocketAddr);

/// The memory of who was well.
#[derive(Debug)]
pub(super) struct Linger {
    keep: Duration,
    used: HashMap<Known, (Health, Option<Zone>)>,
}

impl Linger {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, used: HashMap::new() }
    }

    /// Takes what Consul reports, and gives the instances to use.
    pub(super) fn report(&mut self, now: Instant, memory: Memory, reported: &[Reported]) -> Vec<Instance> {
        let before = std::mem::take(&mut self.used);
        // An address has one process behind it: whoever is reported there now has taken it over.
        let addresses: HashSet<_> = reported.iter().map(|reported| reported.instance.addr).collect();
        let ids: HashSet<_> = reported.iter().map(|reported| &reported.instance.id).collect();
        let stays = |(id, addr): &Known| !addresses.contains(addr) && !ids.contains(id);
        for Reported { instance: Instance { id, addr, zone }, passing } in reported {
            let known = (id.clone(), *addr);
            let health = match before.get(&known) {
                _ if *passing => Health::Well,
                // Critical from the start: it was never well, so there is nothing to hold on to.
                None => continue,
                Some((health, _)) => Health::Critical(health.since().unwrap_or(now)),
            };
            self.used.insert(known, (health, zone.clone()));
        }
        for (known, (health, zone)) in before {
            let forgotten = memory == Memory::Lost || matches!(health, Health::Forgotten(_));
            if forgotten && stays(&known) {
                self.used.insert(known, (Health::Forgotten(health.since().unwrap_or(now)), zone));
            }
        }
        self.expire(now)
    }

    /// The instances to use at `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Instance> {
        let keep = self.keep;
        self.used.retain(|_, (health, _)| health.since().is_none_or(|since| now < since + keep));
        let instance =
            |((id, addr), (_, zone)): (&Known, &(Health, Option<Zone>))| Instance { id: id.clone(), addr: *addr, zone: zone.clone() };
        let mut used: Vec<_> = self.used.iter().map(instance).collect();
        used.sort_by(|a, b| (a.id.as_str(), a.addr).cmp(&(b.id.as_str(), b.addr)));
        used
    }

    /// Nothing was heard until `now`, which counts against nobody.
    pub(super) fn hold(&mut self, now: Instant) {
        for (health, _) in self.used.values_mut() {
            *health = match *health {
                Health::Well => Health::Well,
                Health::Critical(_) => Health::Critical(now),
                Health::Forgotten(_) => Health::Forgotten(now),
            };
        }
    }

    /// When the next instance leaves if nothing is reported before.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.used.values().filter_map(|(health, _)| health.since()).min().map(|since| since + self.keep)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEEP: Duration = Duration::from_secs(30);

    fn reported(id: &str, port: u16, passing: bool) -> Reported {
        Reported { instance: Instance { id: InstanceId::parse(id).unwrap(), addr: ([127, 0, 0, 1], port).into(), zone: None }, passing }
    }

    fn ids(used: &[Instance]) -> Vec<&str> {
        used.iter().map(|instance| instance.id.as_str()).collect()
    }

    /// `a` and `b`, both well.
    fn two(now: Instant) -> Linger {
        let mut linger = Linger::new(KEEP);
        linger.report(now, Memory::Kept, &[reported("a", 1, true), reported("b", 2, true)]);
        linger
    }

    #[test]
    fn who_deregistered_leaves_at_once() {
        let now = Instant::now();
        assert_eq!(ids(&two(now).report(now, Memory::Kept, &[reported("a", 1, true)])), ["a"]);
    }

    #[test]
    fn who_is_critical_stays_for_a_while_and_a_flapping_one_for_good() {
        let now = Instant::now();
        let mut linger = two(now);
        for second in (0..300).step_by(20) {
            let at = now + Duration::from_secs(second);
            assert_eq!(ids(&linger.report(at, Memory::Kept, &[reported("a", 1, false), reported("b", 2, true)])), ["a", "b"]);
            let at = at + Duration::from_secs(10);
            assert_eq!(ids(&linger.report(at, Memory::Kept, &[reported("a", 1, true), reported("b", 2, true)])), ["a", "b"]);
        }
        let at = now + Duration::from_secs(400);
        linger.report(at, Memory::Kept, &[reported("a", 1, false), reported("b", 2, true)]);
        assert_eq!(linger.next_expiry(), Some(at + KEEP));
        assert_eq!(ids(&linger.expire(at + KEEP)), ["b"]);
    }

    #[test]
    fn who_was_never_well_is_not_used() {
        let now = Instant::now();
        assert!(Linger::new(KEEP).report(now, Memory::Kept, &[reported("a", 1, false)]).is_empty());
    }

    #[test]
    fn a_consul_that_forgot_everything_takes_nobody_away_until_they_had_time_to_register_again() {
        let now = Instant::now();
        let mut linger = two(now);
        assert_eq!(ids(&linger.report(now, Memory::Lost, &[])), ["a", "b"]);
        let soon = now + Duration::from_secs(3);
        assert_eq!(ids(&linger.report(soon, Memory::Kept, &[reported("a", 1, true)])), ["a", "b"]);
        assert_eq!(ids(&linger.expire(now + KEEP)), ["a"]);
    }

    #[test]
    fn time_without_an_answer_counts_against_nobody() {
        let now = Instant::now();
        let mut linger = two(now);
        linger.report(now, Memory::Lost, &[]);
        linger.hold(now + KEEP);
        assert_eq!(ids(&linger.expire(now + KEEP)), ["a", "b"]);
        assert!(linger.expire(now + KEEP * 2).is_empty());
    }

    #[test]
    fn an_instance_that_says_another_zone_is_the_same_one_and_lingers_where_it_said_last() {
        let (now, zone) = (Instant::now(), Zone::parse("eu-west-1a"));
        let mut linger = two(now);
        let moved = |passing| {
            let Reported { instance, .. } = reported("a", 1, passing);
            [Reported { instance: Instance { zone: zone.clone(), ..instance }, passing }, reported("b", 2, true)]
        };
        // Critical in a zone that it had not said when it was well.
        let used = linger.report(now, Memory::Kept, &moved(false));
        assert_eq!((ids(&used), &used[0].zone), (vec!["a", "b"], &zone));
        let used = linger.report(now, Memory::Lost, &[]);
        assert_eq!((ids(&used), &used[0].zone), (vec!["a", "b"], &zone));
        assert_eq!(ids(&linger.expire(now + KEEP)), Vec::<&str>::new());
    }

    #[test]
    fn a_new_process_at_an_address_takes_the_place_of_the_one_that_was_there() {
        let now = Instant::now();
        assert_eq!(ids(&two(now).report(now, Memory::Lost, &[reported("c", 1, true)])), ["b", "c"]);
    }

    proptest! {
        #[test]
        fn who_is_well_is_used_and_nobody_twice_whatever_happened_before(
            reports in prop::collection::vec((0u64..40, any::<bool>(), prop::collection::btree_map(0u16..6, any::<bool>(), 0..6)), 1..20),
        ) {
            let mut linger = Linger::new(KEEP);
            let mut now = Instant::now();
            for (seconds, lost, instances) in reports {
                now += Duration::from_secs(seconds);
                let memory = if lost { Memory::Lost } else { Memory::Kept };
                let list: Vec<_> = instances.iter().map(|(&port, &passing)| reported(&format!("w{port}"), port, passing)).collect();
                let used = linger.report(now, memory, &list);
                for Reported { instance, passing } in &list {
                    prop_assert!(!passing || used.contains(instance));
                }
                let unique: HashSet<_> = used.iter().map(|instance| instance.addr).collect();
                prop_assert_eq!(unique.len(), used.len());
                prop_assert!(linger.expire(now + KEEP).iter().all(|left| list.iter().any(|r| r.passing && r.instance == *left)));
            }
        }
    }
}
