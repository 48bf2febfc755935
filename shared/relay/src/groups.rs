//! Groups by their names, which change as endpoints come and go.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Instant,
};

use parking_lot::Mutex;

use crate::{
    balance::{BalanceSettings, prefix::Seat, subset},
    clock,
    endpoint::Endpoint,
    group::{Group, Shared},
    metrics::RelayMetrics,
    record::{Member, Record},
    settings::RelaySettings,
};

/// Makes groups, and remembers by their names what is known of their endpoints when the endpoints change.
#[derive(Debug)]
pub struct Groups {
    settings: Arc<RelaySettings>,
    metrics: RelayMetrics,
    /// What makes its part of a large fleet another than other processes' parts.
    salt: u64,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    shared: Arc<Shared>,
    members: Vec<Member>,
    /// The seat that nobody has had.
    free: Seat,
}

impl Kept {
    fn new(settings: &BalanceSettings) -> Self {
        Self { shared: Arc::new(Shared::new(settings)), members: Vec::new(), free: Seat::FIRST }
    }

    /// These are the members from now on; one that stays keeps what is known of it, and its seat while its load is the same.
    fn follow(&mut self, endpoints: &[(Arc<Endpoint>, u64)], now: u64) {
        let known: HashMap<_, _> = self.members.iter().map(|member| (Arc::as_ptr(&member.endpoint), member)).collect();
        let mut free = self.free;
        let member = |(endpoint, load): &(Arc<Endpoint>, u64)| {
            let known = known.get(&Arc::as_ptr(endpoint));
            let record = known.map_or_else(|| Arc::new(Record::new(now)), |member| Arc::clone(&member.record));
            let same = known.filter(|member| member.load == *load).map(|member| member.seat);
            let seat = same.unwrap_or(free);
            if same.is_none() {
                free = free.next();
            }
            Member { endpoint: Arc::clone(endpoint), record, load: *load, seat }
        };
        let members: Vec<_> = endpoints.iter().map(member).collect();
        (self.members, self.free) = (members, free);
    }
}

impl Groups {
    /// None yet.
    pub fn new(settings: RelaySettings, metrics: RelayMetrics) -> Self {
        Self { settings: Arc::new(settings), metrics, salt: fastrand::u64(..), kept: Mutex::default() }
    }

    /// The group called `name`, which has these endpoints from now on.
    pub fn update(&self, name: &str, endpoints: &[Arc<Endpoint>]) -> Arc<Group> {
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| (Arc::clone(endpoint), 0)).collect();
        self.update_loads(name, &endpoints)
    }

    /// The same, where each endpoint tells which load of the model answers there: another load has read nothing yet.
    pub fn update_loads(&self, name: &str, endpoints: &[(Arc<Endpoint>, u64)]) -> Arc<Group> {
        let part = self.part(endpoints);
        let endpoints = part.as_deref().unwrap_or(endpoints);
        let now = clock::micros(Instant::now());
        let mut kept = self.kept.lock();
        let kept = kept.entry(name.to_owned()).or_insert_with(|| Kept::new(&self.settings.balance));
        let before: Vec<_> = kept.members.iter().map(|member| member.seat).collect();
        kept.follow(endpoints, now);
        let mut members = kept.members.clone();
        // Those who are near stand together, so that a draw among them is even.
        members.sort_by_key(|member| !member.endpoint.place.near);
        let mut seats: Vec<_> = members.iter().enumerate().map(|(at, member)| (member.seat, at)).collect();
        seats.sort_unstable();
        let stays = |seat: Seat| seats.binary_search_by_key(&seat, |(seat, _)| *seat).is_ok();
        if !before.iter().all(|seat| stays(*seat)) {
            kept.shared.prefixes.lock().retain(stays);
        }
        let near = members.iter().filter(|member| member.endpoint.place.near).count();
        Arc::new(Group {
            near: if near == members.len() { 0 } else { near },
            ring: OnceLock::new(),
            members: members.into(),
            shared: Arc::clone(&kept.shared),
            settings: Arc::clone(&self.settings),
            metrics: self.metrics.clone(),
            seats: seats.into(),
        })
    }

    /// Those that are this process's own, where it is to have a part of so many.
    fn part(&self, endpoints: &[(Arc<Endpoint>, u64)]) -> Option<Vec<(Arc<Endpoint>, u64)>> {
        let size = self.settings.balance.subset.filter(|size| *size < endpoints.len())?;
        let names = endpoints.iter().map(|(endpoint, _)| (endpoint.id.as_str(), endpoint.place.near));
        Some(subset::positions(names, size, self.salt).into_iter().map(|at| endpoints[at].clone()).collect())
    }

    /// Forgets what was known of the group called `name`.
    pub fn forget(&self, name: &str) {
        self.kept.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use torchmesh_api::ids::InstanceId;

    use super::*;
    use crate::{
        Affinity,
        balance::{Steering, prefix::Prefix},
    };

    fn endpoint(at: u16) -> Arc<Endpoint> {
        Arc::new(Endpoint::new(InstanceId::parse(&format!("w{at}")).unwrap(), SocketAddr::from(([127, 0, 0, 1], at + 1)), 0))
    }

    fn asks(prompt: u8) -> Steering {
        let mut reading = Prefix::reading(0);
        reading.write(&[prompt; 1000]);
        Steering { key: Some(Affinity { session: None, prefix: reading.finish() }), policy: None }
    }

    /// Where the next call with this prompt goes by what is remembered, if anywhere.
    fn known(group: &Group, prompt: u8) -> Option<String> {
        let prefix = asks(prompt).key.unwrap().prefix.unwrap();
        let position = |seat| group.seats.iter().find(|(one, _)| *one == seat).map(|(_, at)| *at);
        let at = group.shared.prefixes.lock().choose(&prefix, position, |_| true, |_| 0)?;
        Some(group.members[at].endpoint.id.to_string())
    }

    #[test]
    fn a_prompt_goes_where_it_was_sent_until_that_endpoint_leaves_or_loads_the_model_anew() {
        let groups = Groups::new(RelaySettings::default(), RelayMetrics::default());
        let [a, b, c] = [0, 1, 2].map(endpoint);
        let of = |endpoints: &[(&Arc<Endpoint>, u64)]| {
            let endpoints: Vec<_> = endpoints.iter().map(|(endpoint, load)| (Arc::clone(endpoint), *load)).collect();
            groups.update_loads("m/1", &endpoints)
        };
        let group = of(&[(&a, 7), (&b, 8)]);
        let ids: Vec<_> = (0..20).map(|prompt| group.begin(&asks(prompt), &[]).unwrap().endpoint().id.to_string()).collect();
        assert!(ids.contains(&"w0".to_owned()) && ids.contains(&"w1".to_owned()), "{ids:?}");
        let is_known = |group: &Group, of: &[&str]| {
            for (prompt, id) in ids.iter().enumerate() {
                let wanted = of.contains(&id.as_str()).then(|| id.clone());
                assert_eq!(known(group, prompt as u8), wanted, "prompt {prompt}");
            }
        };
        is_known(&group, &["w0", "w1"]);
        for _ in 0..3 {
            for (prompt, id) in ids.iter().enumerate() {
                let again = group.begin(&asks(prompt as u8), &[]).unwrap();
                assert_eq!(again.endpoint().id.as_str(), id);
            }
        }
        is_known(&of(&[(&c, 9), (&b, 8), (&a, 7)]), &["w0", "w1"]);
        is_known(&of(&[(&c, 9), (&b, 80), (&a, 7)]), &["w0"]);
        is_known(&of(&[(&c, 9), (&b, 80)]), &[]);
        is_known(&of(&[(&a, 7), (&b, 80)]), &[]);
    }

    #[test]
    fn of_a_large_fleet_a_part_gets_calls_and_keeps_what_is_known_of_it() {
        let mut settings = RelaySettings::default();
        settings.balance.subset = Some(3);
        let fleet: Vec<_> = (0..20).map(endpoint).collect();
        let ids = |group: &Group| group.endpoints().map(|endpoint| endpoint.id.to_string()).collect::<Vec<_>>();
        let groups = Groups::new(settings, RelayMetrics::default());
        let (all, mine) = (groups.update("m/1", &fleet), groups.update("n/1", &fleet[..3]));
        assert_eq!((all.len(), mine.len()), (3, 3));
        let gone = fleet.iter().position(|endpoint| Arc::ptr_eq(endpoint, &all.members[0].endpoint)).unwrap();
        let left: Vec<_> = fleet.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, endpoint)| Arc::clone(endpoint)).collect();
        let after = groups.update("m/1", &left);
        assert_eq!(after.len(), 3);
        for stays in &all.members[1..] {
            let same = after
                .members
                .iter()
                .find(|member| Arc::ptr_eq(&member.endpoint, &stays.endpoint))
                .expect("one has left for another's sake");
            assert!(Arc::ptr_eq(&same.record, &stays.record));
        }
        let other = Groups::new(settings, RelayMetrics::default());
        let parts: Vec<_> = (0..5).map(|_| ids(&Groups::new(settings, RelayMetrics::default()).update("m/1", &fleet))).collect();
        assert!(parts.iter().any(|part| *part != ids(&other.update("m/1", &fleet))), "every process has the same part");
    }

    #[test]
    fn a_call_that_failed_where_its_prompt_is_known_goes_elsewhere() {
        let groups = Groups::new(RelaySettings::default(), RelayMetrics::default());
        let group = groups.update("m/1", &[0, 1, 2].map(endpoint));
        let asks = asks(1);
        let first = group.begin(&asks, &[]).unwrap().at();
        let second = group.begin(&asks, &[first]).unwrap().at();
        assert_ne!(first, second);
        let third = group.begin(&asks, &[first, second]).unwrap().at();
        assert!(group.begin(&asks, &[first, second, third]).is_none());
    }
}
