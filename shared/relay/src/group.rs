//! The endpoints that can answer one kind of call, such as one version of a model, and the choice among them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    balance::{Policy, choose, ring},
    clock,
    endpoint::Endpoint,
    latencies::Latencies,
    metrics::RelayMetrics,
    record::{Member, Record},
    settings::RelaySettings,
    ticket::Ticket,
};

/// See the module. Made by [`Groups`].
#[derive(Debug)]
pub struct Group {
    pub(crate) members: Box<[Member]>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<RelaySettings>,
    pub(crate) metrics: RelayMetrics,
    ring: Option<ring::Ring>,
}

/// How an endpoint of a group does.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The endpoint.
    pub endpoint: &'a Arc<Endpoint>,
    /// The group's calls there that have not ended.
    pub in_flight: usize,
    /// What its answers are expected to take; none: there were no answers.
    pub latency: Option<Duration>,
    /// Whether others are tried first, since it failed.
    pub left_alone: bool,
}

/// What a call brings to the choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    pub(crate) key: Option<u64>,
    /// How many calls came before it.
    pub(crate) turn: usize,
    /// In microseconds of the process.
    pub(crate) now: u64,
}

/// What stays when the endpoints change.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) latencies: Latencies,
    pub(crate) in_flight: AtomicUsize,
    turn: AtomicUsize,
}

impl Group {
    /// One endpoint by itself, of which nothing is remembered.
    pub fn single(endpoint: Arc<Endpoint>) -> Arc<Self> {
        Groups::new(RelaySettings::default(), RelayMetrics::default()).update("", &[endpoint])
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.members.iter().map(|member| &member.endpoint)
    }

    /// How the endpoints do.
    pub fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        let now = clock::micros(Instant::now());
        self.members.iter().map(move |Member { endpoint, record }| {
            let latency = record.latency.expected(now, self.settings.balance.decay);
            Seen {
                endpoint,
                in_flight: record.in_flight.load(Ordering::Relaxed),
                latency: latency.map(|micros| Duration::from_secs_f64(micros / 1e6)),
                left_alone: endpoint.is_paused() || record.breaker.is_open(),
            }
        })
    }

    /// Begins a call at an endpoint that was not tried yet; at one that is known to be in trouble only when there is no other.
    pub(crate) fn begin(self: &Arc<Self>, key: Option<u64>, tried: &[usize]) -> Option<Ticket> {
        let begun = Instant::now();
        let now = clock::micros(begun);
        // Another try of one call is not another turn: otherwise every call that fails at an endpoint would bring the next one there too.
        let turn =
            if tried.is_empty() { self.shared.turn.fetch_add(1, Ordering::Relaxed) } else { self.shared.turn.load(Ordering::Relaxed) };
        let untried = |at: usize| !tried.contains(&at);
        let chance = Chance { key, turn, now };
        let at = self.choose(chance, |at| untried(at) && self.members[at].admits(now)).or_else(|| self.choose(chance, untried))?;
        Some(Ticket::new(Arc::clone(self), at, begun))
    }

    /// The position that the policy gives a call.
    pub(crate) fn choose(&self, Chance { key, turn, now }: Chance, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.members.len();
        let draw = |below| fastrand::usize(..below);
        match self.settings.balance.policy {
            Policy::RoundRobin => choose::round_robin(count, usable, turn),
            Policy::LeastInFlight => choose::least(count, usable, |at| self.members[at].endpoint.in_flight(), draw),
            Policy::Hash if key.is_some() => self.by_hash(key.unwrap_or_default(), usable),
            Policy::PeakEwma | Policy::Hash => {
                let better = |one: usize, other: usize| self.members[one].is_better(&self.members[other], now, &self.settings);
                choose::power_of_two(count, usable, better, draw)
            }
        }
    }

    fn by_hash(&self, key: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let total = self.shared.in_flight.load(Ordering::Relaxed) + 1;
        let left = (0..self.members.len()).filter(|at| usable(*at)).count();
        let most = ring::most_in_flight(total, left, self.settings.balance.hash_bound);
        let ring = self.ring.as_ref()?;
        ring.find(key, |at| usable(at) && self.members[at].calls() < most).or_else(|| ring.find(key, &usable))
    }

    /// How long to wait for an endpoint before another is asked too. `None`: for ever.
    pub(crate) fn hedge_after(&self, deadline: Option<Instant>) -> Option<Duration> {
        if self.members.len() < 2 {
            return None;
        }
        let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.settings.hedge.wait(|share| self.shared.latencies.percentile(share), left())
    }

    /// Opens a member's breaker, unless so many are open already that those who are left could not carry the load.
    pub(crate) fn open_breaker(&self, at: usize, now: u64) {
        let settings = &self.settings.breaker;
        let others = self.members.iter().enumerate().filter(|(other, member)| *other != at && member.record.breaker.is_open()).count();
        if (others + 1) as f64 > settings.max_open * self.members.len() as f64 {
            return;
        }
        let member = &self.members[at];
        if !member.record.breaker.is_open() {
            tracing::warn!(endpoint = %member.endpoint.id, "an endpoint fails and is left alone for a while");
        }
        member.record.breaker.open(now, settings);
        self.metrics.breaker_opened();
    }
}

/// Makes groups, and remembers by their names what is known of their endpoints when the endpoints change.
#[derive(Debug)]
pub struct Groups {
    settings: Arc<RelaySettings>,
    metrics: RelayMetrics,
    kept: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    shared: Arc<Shared>,
    members: Vec<Member>,
}

impl Groups {
    /// None yet.
    pub fn new(settings: RelaySettings, metrics: RelayMetrics) -> Self {
        Self { settings: Arc::new(settings), metrics, kept: Mutex::default() }
    }

    /// The group called `name`, which has these endpoints from now on.
    pub fn update(&self, name: &str, endpoints: &[Arc<Endpoint>]) -> Arc<Group> {
        let now = clock::micros(Instant::now());
        let mut kept = self.kept.lock();
        let kept = kept.entry(name.to_owned()).or_default();
        let known: HashMap<_, _> = kept.members.iter().map(|member| (Arc::as_ptr(&member.endpoint), member)).collect();
        let member = |endpoint: &Arc<Endpoint>| {
            let known = known.get(&Arc::as_ptr(endpoint)).map(|member| (*member).clone());
            known.unwrap_or_else(|| Member { endpoint: Arc::clone(endpoint), record: Arc::new(Record::new(now)) })
        };
        let members: Vec<_> = endpoints.iter().map(member).collect();
        kept.members.clone_from(&members);
        let hashed = self.settings.balance.policy == Policy::Hash;
        Arc::new(Group {
            ring: hashed.then(|| ring::Ring::new(members.iter().map(|member| member.endpoint.id.as_str()))),
            members: members.into(),
            shared: Arc::clone(&kept.shared),
            settings: Arc::clone(&self.settings),
            metrics: self.metrics.clone(),
        })
    }

    /// Forgets what was known of the group called `name`.
    pub fn forget(&self, name: &str) {
        self.kept.lock().remove(name);
    }
}
