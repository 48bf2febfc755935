//! The endpoints that can answer one kind of call, such as one version of a model, and the choice among them.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Groups,
    balance::{
        Affinity, BalanceSettings, Policy, Steering, choose,
        prefix::{Prefix, PrefixIndex, Seat},
        reported::Load,
        ring,
    },
    clock,
    endpoint::Endpoint,
    latencies::Latencies,
    metrics::RelayMetrics,
    record::Member,
    settings::RelaySettings,
    standing::Standing,
    ticket::Ticket,
};

/// See the module. Made by [`Groups`].
#[derive(Debug)]
pub struct Group {
    pub(crate) members: Box<[Member]>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<RelaySettings>,
    pub(crate) metrics: RelayMetrics,
    /// Made by the first call that goes by its key.
    pub(crate) ring: OnceLock<ring::Ring>,
    /// Where each seat is among the members, in order.
    pub(crate) seats: Box<[(Seat, usize)]>,
    /// So many members are near, the first ones; 0 where all are or none is.
    pub(crate) near: usize,
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
    /// What it said last of its queue; none: it said nothing.
    pub load: Option<Load>,
    /// The most of the group's calls that it may have at once; none: as many as come.
    pub most_in_flight: Option<usize>,
}

/// What a call brings to the choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance<'a> {
    pub(crate) key: Option<&'a Affinity>,
    pub(crate) policy: Policy,
    /// How many calls came before it.
    pub(crate) turn: usize,
    /// In microseconds of the process.
    pub(crate) now: u64,
}

/// What stays when the endpoints change.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) latencies: Latencies,
    pub(crate) in_flight: AtomicUsize,
    turn: AtomicUsize,
    /// Locked for some microseconds by calls that have a prefix, each of which keeps an endpoint busy for many thousands.
    pub(crate) prefixes: Mutex<PrefixIndex>,
    pub(crate) standing: Standing,
}

impl Shared {
    pub(crate) fn new(settings: &BalanceSettings) -> Self {
        let prefixes = Mutex::new(PrefixIndex::new(settings.prefix_memory.0));
        let standing = Standing::default();
        Self { latencies: Latencies::default(), in_flight: AtomicUsize::new(0), turn: AtomicUsize::new(0), prefixes, standing }
    }
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
        self.members.iter().map(move |member| {
            let Member { endpoint, record, .. } = member;
            let latency = record.latency.expected(now, self.settings.balance.decay);
            Seen {
                endpoint,
                in_flight: record.in_flight.load(Ordering::Relaxed),
                latency: latency.map(|micros| Duration::from_secs_f64(micros / 1e6)),
                left_alone: endpoint.is_paused() || record.breaker.is_open(),
                load: record.reported.load(),
                most_in_flight: member.most_calls(&self.settings),
            }
        })
    }

    /// Whether calls that can go elsewhere should: the breaker of all the endpoints together is open, by the settings of each one's. After its pause one of them may try.
    /// It keeps no call away by itself, and counts from when this is first asked.
    pub fn is_failing(&self) -> bool {
        self.shared.standing.is_failing(clock::micros(Instant::now()))
    }

    /// Begins a call at an endpoint that was not tried yet and has fewer calls than it may have; at one that is known to be in trouble only when there is no other.
    pub(crate) fn begin(self: &Arc<Self>, steering: &Steering, tried: &[usize]) -> Option<Ticket> {
        let begun = Instant::now();
        let now = clock::micros(begun);
        // Another try of one call is not another turn: otherwise every call that fails at an endpoint would bring the next one there too.
        let turn =
            if tried.is_empty() { self.shared.turn.fetch_add(1, Ordering::Relaxed) } else { self.shared.turn.load(Ordering::Relaxed) };
        let open = |at: usize| !tried.contains(&at) && self.members[at].has_room(&self.settings);
        let (key, policy) = (steering.key.as_ref(), steering.policy.unwrap_or(self.settings.balance.policy));
        let chance = Chance { key, policy, turn, now };
        let admits = |at: usize| !tried.contains(&at) && self.members[at].admits(now, &self.settings);
        let at = self.choose(chance, admits).or_else(|| self.choose(chance, open))?;
        if let Some(prefix) = key.and_then(|key| key.prefix.as_ref()) {
            let had = self.note(prefix, at);
            if tried.is_empty() {
                self.metrics.prefix(prefix.blocks().len(), had);
            }
        }
        Some(Ticket::new(Arc::clone(self), at, begun))
    }

    /// The position that a call is given: where the beginning of its prompt was read, and else where the policy says.
    pub(crate) fn choose(&self, chance: Chance<'_>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        match chance.key.and_then(|key| key.prefix.as_ref()) {
            Some(prefix) => self.by_prefix(chance, prefix, usable),
            None => self.by_policy(chance, usable),
        }
    }

    /// The member is sent this prompt; tells how many of its blocks it had.
    pub(crate) fn note(&self, prefix: &Prefix, at: usize) -> usize {
        self.shared.prefixes.lock().note(prefix, self.members[at].seat)
    }

    fn by_prefix(&self, chance: Chance<'_>, prefix: &Prefix, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let most = self.most_in_flight(&usable, self.settings.balance.prefix_bound);
        let takes = |at: usize| usable(at) && self.members[at].calls() < most;
        let position = |seat| self.seats.binary_search_by_key(&seat, |(seat, _)| *seat).ok().map(|found| self.seats[found].1);
        let known = self.shared.prefixes.lock().choose(prefix, position, takes, |at| self.members[at].calls());
        known.or_else(|| self.by_policy(chance, takes)).or_else(|| self.by_policy(chance, &usable))
    }

    /// A session goes where it is known, wherever that is. Other calls go to those who are near while they have less than their share in flight, and then to those who are not.
    fn by_policy(&self, chance: Chance<'_>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let session = chance.key.and_then(|key| key.session).filter(|_| chance.policy == Policy::Hash);
        if let Some(session) = session {
            return self.by_hash(session, usable);
        }
        let all = self.members.len();
        if self.near == 0 {
            return self.among(0..all, chance, usable);
        }
        let most = self.most_in_flight(&usable, self.settings.balance.zone_bound);
        let takes = |at: usize| usable(at) && self.members[at].calls() < most;
        let near = self.among(0..self.near, chance, takes);
        near.or_else(|| self.among(self.near..all, chance, takes)).or_else(|| self.among(0..all, chance, &usable))
    }

    /// The position among these that the policy gives a call.
    fn among(&self, these: Range<usize>, Chance { policy, turn, now, .. }: Chance<'_>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let (from, count) = (these.start, these.len());
        let member = |at: usize| &self.members[from + at];
        let usable = |at: usize| usable(from + at);
        let draw = |below| fastrand::usize(..below);
        let at = match policy {
            Policy::RoundRobin => choose::round_robin(count, usable, turn),
            Policy::LeastInFlight => choose::least(count, usable, |at| member(at).endpoint.in_flight(), draw),
            Policy::PeakEwma | Policy::Hash => {
                choose::power_of_two(count, usable, |one, other| member(one).is_better(member(other), now, &self.settings), draw)
            }
            Policy::Reported => {
                choose::power_of_two(count, usable, |one, other| member(one).reports_better(member(other), now, &self.settings), draw)
            }
        };
        at.map(|at| from + at)
    }

    fn by_hash(&self, key: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let most = self.most_in_flight(&usable, self.settings.balance.hash_bound);
        let ring = self.ring.get_or_init(|| ring::Ring::new(self.members.iter().map(|member| member.endpoint.id.as_str())));
        ring.find(key, |at| usable(at) && self.members[at].calls() < most).or_else(|| ring.find(key, &usable))
    }

    /// The most calls that one of the usable members may have in flight, with another one that comes.
    pub(crate) fn most_in_flight(&self, usable: impl Fn(usize) -> bool, bound: f64) -> usize {
        let total = self.shared.in_flight.load(Ordering::Relaxed) + 1;
        let left = (0..self.members.len()).filter(|at| usable(*at)).count();
        ring::most_in_flight(total, left, bound)
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
        let member = &self.members[at];
        if (others + 1) as f64 > settings.max_open * self.members.len() as f64 {
            // Whoever tried it has failed, and the next one may try.
            member.record.breaker.gave_up();
            return;
        }
        if !member.record.breaker.is_open() {
            tracing::warn!(endpoint = %member.endpoint.id, "an endpoint fails and is left alone for a while");
        }
        member.record.breaker.open(now, settings);
        self.metrics.breaker_opened();
    }
}
