//! The endpoints that calls can go to, and what is known of each.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::Authority;
use parking_lot::Mutex;
use torchmesh_api::ids::InstanceId;

use crate::{clock, lane::Lane, tls::HopTls};

/// The wait after a first failed connection; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where an endpoint is, as far as it is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The zone's name.
    pub zone: Option<Arc<str>>,
    /// Whether the hop before it is in the same zone.
    pub near: bool,
}

/// One instance of a service, as the hop before it sees it.
#[derive(Debug)]
pub struct Endpoint {
    /// The instance.
    pub id: InstanceId,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it is.
    pub place: Place,
    pub(crate) authority: Authority,
    pub(crate) lanes: Box<[Lane]>,
    in_flight: AtomicUsize,
    born: Instant,
    /// Not before so many milliseconds after `born` is it tried again.
    paused_until: AtomicU64,
    failures: AtomicU32,
    /// When it last answered anything, in microseconds of the process. 0: never.
    answered_at: AtomicU64,
}

impl Endpoint {
    /// An endpoint with connections for each of `lanes` threads, none opened yet.
    pub fn new(id: InstanceId, addr: SocketAddr, lanes: usize) -> Self {
        Self::over(id, addr, lanes, None)
    }

    /// The same, over TLS where that is given.
    pub fn over(id: InstanceId, addr: SocketAddr, lanes: usize, tls: Option<&Arc<HopTls>>) -> Self {
        let text = addr.to_string();
        // An address's own text is always a valid authority; the constant only satisfies the type.
        let authority = text.parse().unwrap_or_else(|_| Authority::from_static("localhost"));
        Self {
            id,
            addr,
            place: Place::default(),
            authority,
            lanes: (0..lanes).map(|_| Lane::over(tls.cloned())).collect(),
            in_flight: AtomicUsize::new(0),
            born: Instant::now(),
            paused_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            answered_at: AtomicU64::new(0),
        }
    }

    /// The same at this place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Calls sent there that have not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether its last connection failed so recently that others should be tried first.
    pub fn is_paused(&self) -> bool {
        let until = self.paused_until.load(Ordering::Relaxed);
        until != 0 && self.millis() < until
    }

    /// A connection failed: leave it alone for a while.
    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(10);
        let pause = (FIRST_PAUSE * (1 << failures)).min(LONGEST_PAUSE);
        self.paused_until.store(self.millis() + pause.as_millis() as u64, Ordering::Relaxed);
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        self.answered_at.store(clock::micros(Instant::now()), Ordering::Relaxed);
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.paused_until.store(0, Ordering::Relaxed);
        }
    }

    /// When it last answered anything, in microseconds of the process.
    pub(crate) fn answered_at(&self) -> u64 {
        self.answered_at.load(Ordering::Relaxed)
    }

    /// A call goes there.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that went there has ended.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }
}

/// The endpoints of a service by instance. An endpoint that stays keeps its connections and its counts.
#[derive(Debug)]
pub struct Endpoints {
    lanes: usize,
    tls: Option<Arc<HopTls>>,
    known: Mutex<HashMap<InstanceId, Arc<Endpoint>>>,
}

impl Endpoints {
    /// None yet; each will have connections for each of `lanes` threads.
    pub fn new(lanes: usize) -> Self {
        Self::over(lanes, None)
    }

    /// The same, over TLS where that is given.
    pub fn over(lanes: usize, tls: Option<HopTls>) -> Self {
        Self { lanes, tls: tls.map(Arc::new), known: Mutex::default() }
    }

    /// Takes the instances that exist now, and gives their endpoints in the same order. An instance with a new address is a new endpoint.
    pub fn update(&self, instances: &[(InstanceId, SocketAddr)]) -> Vec<Arc<Endpoint>> {
        self.update_placed(instances.iter().map(|(id, addr)| (id.clone(), *addr, Place::default())))
    }

    /// The same where it is told where they are. An instance at a new place is a new endpoint, too.
    pub fn update_placed(&self, instances: impl IntoIterator<Item = (InstanceId, SocketAddr, Place)>) -> Vec<Arc<Endpoint>> {
        let mut known = self.known.lock();
        let mut next = HashMap::new();
        let mut listed = Vec::new();
        for (id, addr, place) in instances {
            let kept = known.remove(&id).filter(|endpoint| endpoint.addr == addr && endpoint.place == place);
            let new = || Arc::new(Endpoint::over(id.clone(), addr, self.lanes, self.tls.as_ref()).at(place));
            let endpoint = kept.unwrap_or_else(new);
            next.insert(id, Arc::clone(&endpoint));
            listed.push(endpoint);
        }
        *known = next;
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str, port: u16) -> (InstanceId, SocketAddr) {
        (InstanceId::parse(id).unwrap(), SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn an_endpoint_that_stays_is_the_same_and_one_that_moved_is_new() {
        let endpoints = Endpoints::new(1);
        let before = endpoints.update(&[instance("a", 1), instance("b", 2)]);
        let after = endpoints.update(&[instance("b", 3), instance("a", 1)]);
        assert!(Arc::ptr_eq(&before[0], &after[1]));
        assert!(!Arc::ptr_eq(&before[1], &after[0]));
    }

    #[test]
    fn an_endpoint_that_says_that_it_is_elsewhere_is_new() {
        let endpoints = Endpoints::new(1);
        let (id, addr) = instance("a", 1);
        let placed = |zone: &str| endpoints.update_placed([(id.clone(), addr, Place { zone: Some(zone.into()), near: false })]).remove(0);
        let before = placed("here");
        assert!(Arc::ptr_eq(&before, &placed("here")) && !Arc::ptr_eq(&before, &placed("there")));
    }

    #[test]
    fn a_failed_endpoint_pauses_until_it_answers() {
        let endpoint = Endpoint::new(InstanceId::parse("a").unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)), 1);
        assert!(!endpoint.is_paused());
        endpoint.failed();
        assert!(endpoint.is_paused());
        endpoint.answered();
        assert!(!endpoint.is_paused());
    }
}
