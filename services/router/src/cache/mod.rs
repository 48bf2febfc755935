//! Answers that are kept for whoever asks the same again.
//!
//! Kept is what a route, or a step of a pipeline, asks for ([`Caching`]), of calls whose answer is the same each time ([`question`]): for their own tenant unless the route says that all may share. An answer is found by the
//! version that the routes chose for this call, and is good as long as the load of that version which gave it answers somewhere: what a new version, or the same one loaded anew, would say, is
//! never answered by the old one. It is kept here and not in the gateway because only the router knows which version a call goes to.
//!
//! Of many who ask the same at once, one is passed on and the others wait for its answer, once.
//!
//! Behind what is kept here may be what all routers have in common ([`remote`]). The same rules hold there: which load gave an answer is told by workers, and not by a router.

mod flights;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod identity;
mod keeping;
mod kept;
pub mod question;
mod remote;
mod stored;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use quick_cache::{Weighter, sync};
use tokio::{runtime::Handle, time::Instant};
use torchmesh_api::headers::X_TORCHMESH_CACHE_TTL;
use torchmesh_redis::RedisSettings;
use torchmesh_runtime::config::{ByteSize, Section};

pub use keeping::Keeping;
pub use kept::Kept;
pub use question::{Key, Question};

use flights::{Flight, Flights};
use remote::Remote;

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
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// `cache.max_bytes`: of all answers. Default 64MiB; 0 switches it off.
    pub max_bytes: ByteSize,
    /// `cache.max_message`: the largest request, and the largest answer, that is kept. Default 1MiB.
    pub max_message: ByteSize,
    /// `cache.redis`: where routers keep answers together. Default none: each keeps its own.
    pub redis: Option<RedisSettings>,
}

impl CacheSettings {
    /// Reads the table `cache`.
    pub fn read(s: &mut Section) -> Self {
        s.section("cache", |s| {
            let max_bytes = s.or("max_bytes", ByteSize::mib(64));
            let max_message = s.or("max_message", ByteSize::mib(1));
            let redis = if s.has("redis") { s.section("redis", RedisSettings::read) } else { None };
            s.check(redis.is_none() || max_bytes.0 > 0, "redis", "is behind the answers that a router keeps itself, and max_bytes is 0");
            Self { max_bytes, max_message, redis }
        })
    }
}

/// The answers of all data threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shelf: sync::Cache<Key, Kept, Weight>,
    flights: Arc<Flights>,
    remote: Option<Remote>,
    max_bytes: usize,
    max_message: usize,
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
    /// An empty one. On `control` the way to what routers have in common is kept open.
    pub fn new(settings: CacheSettings, control: &Handle) -> Self {
        // A guess: it decides how much is set aside for the keys, and grows.
        const ENTRY: usize = 4096;
        let CacheSettings { max_bytes: ByteSize(max_bytes), max_message: ByteSize(max_message), redis } = settings;
        let shelf = sync::Cache::with_weighter(max_bytes / ENTRY, max_bytes as u64, Weight);
        let remote = redis.map(|redis| Remote::start(redis, max_message, control));
        let (flights, asked, bytes) = (Arc::default(), Family::default(), Gauge::default());
        Self(Arc::new(Inner { shelf, flights, remote, max_bytes, max_message, asked, bytes }))
    }

    /// Registers `torchmesh_router_cache_questions_total`, `torchmesh_router_cache_bytes`, and with Redis `torchmesh_router_cache_redis_links`.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls of routes with a cache, by what the cache had: hit, stored (in Redis), miss, or passed (not to be kept)";
        registry.register("torchmesh_router_cache_questions", help, self.0.asked.clone());
        registry.register("torchmesh_router_cache_bytes", "Bytes of the answers that are kept", self.0.bytes.clone());
        if let Some(remote) = &self.0.remote {
            let help = "Connections to Redis that answer; 0 means that this router has no answers but its own";
            registry.register("torchmesh_router_cache_redis_links", help, remote.links());
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.0.max_bytes > 0
    }

    /// The largest request, and the largest answer, that is kept.
    pub fn max_message(&self) -> usize {
        self.0.max_message
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
                Ok(flight) => return self.ask_others(question, loads, Some(flight)).await,
                Err(another) => another.lands().await,
            }
            if let Some(kept) = self.good(question, loads) {
                return Found::Hit(kept);
            }
            // Whoever asked has looked there a moment ago.
            self.count("miss");
            return Found::Miss(None);
        }
        self.ask_others(question, loads, None).await
    }

    /// The answer that another router has been given, which is kept here, too.
    async fn ask_others(&self, question: &Question, loads: &[u64], flight: Option<Flight>) -> Found {
        let stored = match &self.0.remote {
            Some(remote) => remote.get(&question.key).await.and_then(|stored| Kept::read(stored, now_ms())),
            None => None,
        };
        let Some(kept) = stored.filter(|kept| kept.is_good(loads, question.caching.ttl, Instant::now())) else {
            self.count("miss");
            return Found::Miss(flight);
        };
        self.count("stored");
        // Before the flight ends: whoever waits finds it now.
        self.shelve(question.key, kept.clone());
        Found::Hit(kept)
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

    /// Keeps an answer here, and where other routers find it.
    fn keep(&self, key: Key, kept: Kept) {
        if let Some(remote) = &self.0.remote {
            remote.put(&key, kept.ttl(), || kept.write(now_ms()));
        }
        self.shelve(key, kept);
    }

    fn shelve(&self, key: Key, kept: Kept) {
        self.0.shelf.insert(key, kept);
        self.0.bytes.set(i64::try_from(self.0.shelf.weight()).unwrap_or(i64::MAX));
    }

    fn count(&self, result: &'static str) {
        self.0.asked.get_or_create(&Asked { result }).inc();
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::yield_now;

    use super::*;

    fn cache() -> Cache {
        let settings = CacheSettings { max_bytes: ByteSize::mib(1), max_message: ByteSize::mib(1), redis: None };
        Cache::new(settings, &Handle::current())
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
    fn redis_is_read_where_it_is_set_and_not_without_memory_in_front_of_it() {
        let read = |text: &str| Section::read_all(text.parse().unwrap(), CacheSettings::read).map_err(|problems| problems.to_string());
        assert!(read("").unwrap().redis.is_none());
        assert!(read("[cache.redis]\nurl = 'redis://127.0.0.1'").unwrap().redis.is_some());
        assert!(read("[cache]\nmax_bytes = 0\nredis = { url = 'redis://127.0.0.1' }").unwrap_err().contains("cache.redis"));
        assert!(read("[cache.redis]\ntimeout = '1h'").unwrap_err().contains("cache.redis.url"));
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
