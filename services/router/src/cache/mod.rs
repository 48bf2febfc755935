//! Answers that are kept for whoever asks the same again.
//!
//! Kept is what a route, or a step of a pipeline, asks for ([`Caching`]), of calls whose answer is the same each time ([`question`]): for their own tenant unless the route says that all may share. An answer is found by the
//! version that the routes chose for this call, and is good as long as the load of that version which gave it answers somewhere: what a new version, or the same one loaded anew, would say, is
//! never answered by the old one. It is kept here and not in the gateway because only the router knows which version a call goes to.
//!
//! Of many who ask the same at once, one is passed on and the others wait for its answer, once.

mod flights;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identity;
mod keeping;
mod kept;
pub mod question;

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use quick_cache::{Weighter, sync};
use tokio::time::Instant;
use torchmesh_api::headers::X_TORCHMESH_CACHE_TTL;
use torchmesh_runtime::config::{ByteSize, Section};

pub use keeping::Keeping;
pub use kept::Kept;
pub use question::{Key, Question};

use flights::{Flight, Flights};

/// What a route wants to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caching {
    /// For how long an answer is good.
    pub ttl: Duration,
    /// Whether tenants get each other's answers.
    pub shared: bool,
}

impl Caching {
    /// What holds for one call: what its route has, and what a pipeline's step asks for ([`X_TORCHMESH_CACHE_TTL`]), which cannot make an answer live longer than the route does.
    pub fn of(routed: Option<Self>, headers: &HeaderMap) -> Option<Self> {
        let asked = headers.get(X_TORCHMESH_CACHE_TTL).and_then(|ttl| ttl.to_str().ok()?.parse::<u32>().ok());
        let asked = asked.map(|seconds| Duration::from_secs(seconds.into()));
        match (routed, asked) {
            (Some(routed), Some(asked)) => Some(Self { ttl: routed.ttl.min(asked), ..routed }),
            (None, Some(ttl)) => Some(Self { ttl, shared: false }),
            (routed, None) => routed,
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct CacheSettings {
    /// `cache.max_bytes`: of all answers. Default 64MiB; 0 switches it off.
    pub max_bytes: ByteSize,
    /// `cache.max_message`: the largest request, and the largest answer, that is kept. Default 1MiB.
    pub max_message: ByteSize,
}

impl CacheSettings {
    /// Reads the table `cache`.
    pub fn read(s: &mut Section) -> Self {
        s.section("cache", |s| Self { max_bytes: s.or("max_bytes", ByteSize::mib(64)), max_message: s.or("max_message", ByteSize::mib(1)) })
    }
}

/// The answers of all data threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shelf: sync::Cache<Key, Kept, Weight>,
    flights: Arc<Flights>,
    settings: CacheSettings,
    asked: Family<Asked, Counter>,
    bytes: Gauge,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Kept> for Weight {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        kept.bytes() as u64
    }
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    result: &'static str,
}

/// What the cache says to a question.
#[derive(Debug)]
pub enum Found {
    /// The answer.
    Hit(Kept),
    /// There is none; whoever waits for this one's is told when it is dropped.
    Miss(Option<Flight>),
}

impl Cache {
    /// An empty one.
    pub fn new(settings: CacheSettings) -> Self {
        // A guess: it decides how much is set aside for the keys, and grows.
        const ENTRY: usize = 4096;
        let bytes = settings.max_bytes.0;
        let shelf = sync::Cache::with_weighter(bytes / ENTRY, bytes as u64, Weight);
        Self(Arc::new(Inner { shelf, flights: Arc::default(), settings, asked: Family::default(), bytes: Gauge::default() }))
    }

    /// Registers `torchmesh_router_cache_questions_total` and `torchmesh_router_cache_bytes`.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls of routes with a cache, by what the cache had: hit, miss, or passed (not to be kept)";
        registry.register("torchmesh_router_cache_questions", help, self.0.asked.clone());
        registry.register("torchmesh_router_cache_bytes", "Bytes of the answers that are kept", self.0.bytes.clone());
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.0.settings.max_bytes.0 > 0
    }

    /// The largest request, and the largest answer, that is kept.
    pub fn max_message(&self) -> usize {
        self.0.settings.max_message.0
    }

    /// Notes a call of a route with a cache whose answer is not to be kept.
    pub fn passed(&self) {
        self.count("passed");
    }

    /// The answer of one of these loads, if it is there and good. Who asks what somebody else is asking waits for the other's answer, if it may, but only once: should that one fail, there
    /// is no point in failing one after the other.
    pub async fn ask(&self, question: &Question, loads: &[u64]) -> Found {
        if question.renews {
            self.count("miss");
            return Found::Miss(None);
        }
        if let Some(kept) = self.good(question, loads) {
            return Found::Hit(kept);
        }
        if question.waits {
            match self.0.flights.begin(question.key) {
                Ok(flight) => {
                    self.count("miss");
                    return Found::Miss(Some(flight));
                }
                Err(another) => another.lands().await,
            }
            if let Some(kept) = self.good(question, loads) {
                return Found::Hit(kept);
            }
        }
        self.count("miss");
        Found::Miss(None)
    }

    fn good(&self, question: &Question, loads: &[u64]) -> Option<Kept> {
        let kept = self.0.shelf.get(&question.key)?;
        if !kept.is_good(loads, question.caching.ttl, Instant::now()) {
            self.0.shelf.remove(&question.key);
            return None;
        }
        self.count("hit");
        Some(kept)
    }

    fn keep(&self, key: Key, kept: Kept) {
        self.0.shelf.insert(key, kept);
        self.0.bytes.set(i64::try_from(self.0.shelf.weight()).unwrap_or(i64::MAX));
    }

    fn count(&self, result: &'static str) {
        self.0.asked.get_or_create(&Asked { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::yield_now;

    use super::*;

    fn cache() -> Cache {
        Cache::new(CacheSettings { max_bytes: ByteSize::mib(1), max_message: ByteSize::mib(1) })
    }

    fn question(waits: bool) -> Question {
        let caching = Caching { ttl: Duration::from_secs(1), shared: false };
        Question { key: question::Key::of_test(7), id: bytes::Bytes::new(), renews: false, waits, caching }
    }

    #[tokio::test]
    async fn whoever_waits_for_an_answer_that_never_comes_asks_by_itself() {
        let (cache, asked) = (cache(), question(true));
        let Found::Miss(Some(flight)) = cache.ask(&asked, &[1]).await else { panic!("nobody has asked before") };
        let mut second = pin!(cache.ask(&asked, &[1]));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the first one is still asking"),
            () = yield_now() => {}
        }
        // Its caller has left, or it has failed.
        drop(flight);
        assert!(matches!(second.await, Found::Miss(None)), "one who has waited waits for nobody else");
        assert!(matches!(cache.ask(&asked, &[1]).await, Found::Miss(Some(_))), "and nothing of the first is left");
    }

    #[test]
    fn a_step_may_have_its_answers_kept_and_none_for_longer_than_the_route_has_it() {
        let keeps = |seconds, shared| Some(Caching { ttl: Duration::from_secs(seconds), shared });
        let asks = |text: &'static str| HeaderMap::from_iter([(X_TORCHMESH_CACHE_TTL, http::HeaderValue::from_static(text))]);
        assert_eq!((Caching::of(None, &HeaderMap::new()), Caching::of(keeps(9, true), &HeaderMap::new())), (None, keeps(9, true)));
        assert_eq!((Caching::of(None, &asks("5")), Caching::of(None, &asks("-5"))), (keeps(5, false), None));
        assert_eq!((Caching::of(keeps(9, true), &asks("5")), Caching::of(keeps(9, false), &asks("60"))), (keeps(5, true), keeps(9, false)));
    }

    #[tokio::test]
    async fn whoever_reads_along_does_not_wait() {
        let (cache, asked) = (cache(), question(true));
        let _flight = cache.ask(&asked, &[1]).await;
        assert!(matches!(cache.ask(&question(false), &[1]).await, Found::Miss(None)));
    }
}
