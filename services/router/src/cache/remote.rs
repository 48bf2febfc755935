//! Answers that routers have in common, in Redis.
//!
//! There is one link to it. While it is away or slow there is none, and questions wait for nothing: they are answered by what this router has itself, and the link is
//! looked for again by itself until it is back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisError, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};
use torchmesh_redis::{RedisSettings, in_words};

use super::Key;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer is waited for that no call waits for.
const LATE: Duration = Duration::from_secs(2);
/// How often the server is asked whether it is there, and how long it may take to say so.
const BEAT: Duration = Duration::from_secs(1);
/// How long it is until the server is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// So many questions in a row that had no answer in time end the link, when nothing was heard meanwhile, not even too late: for [`SILENCE`] times as long as a
/// question waits. This process may have been busy for a moment itself, and then many questions miss their answers at once.
const MISSES: u32 = 3;
const SILENCE: u32 = 4;
/// So many end it whatever was heard: answers that are always late are none.
const MANY_MISSES: u32 = 64;
/// So many bytes of answers may be on their way to the server, in units of 1 KiB; more are not sent.
const ROOM: usize = 16 << 10;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Remote(Arc<Inner>);

struct Inner {
    settings: RedisSettings,
    /// The longest answer that is written or taken, in bytes.
    most: usize,
    link: ArcSwapOption<Link>,
    links: Gauge,
    lost: Notify,
    away: AtomicBool,
    misses: AtomicU32,
    /// When the server was heard last, in milliseconds from `began`.
    heard: AtomicU64,
    began: Instant,
    room: Arc<Semaphore>,
    control: Handle,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A connection that has answered.
struct Link {
    connection: MultiplexedConnection,
    /// Whether it was said that the server refuses something.
    refused: AtomicBool,
}

impl Link {
    async fn ask<A: FromRedisValue>(&self, command: &Cmd) -> Result<A, RedisError> {
        command.query_async(&mut self.connection.clone()).await
    }

    async fn beat(&self) -> Result<(), String> {
        match timeout(BEAT, self.ask::<()>(&redis::cmd("PING"))).await {
            Ok(answer) => answer.map_err(|error| in_words(&error)),
            Err(_) => Err("it does not answer in time".to_owned()),
        }
    }
}

impl Remote {
    /// Begins to look for the server, on this runtime. Answers may have `most` bytes.
    pub(super) fn start(settings: RedisSettings, most: usize, control: &Handle) -> Self {
        let inner = Inner {
            settings,
            most,
            link: ArcSwapOption::empty(),
            links: Gauge::default(),
            lost: Notify::new(),
            away: AtomicBool::new(false),
            misses: AtomicU32::new(0),
            heard: AtomicU64::new(0),
            began: Instant::now(),
            room: Arc::new(Semaphore::new(ROOM.max(units(most) as usize))),
            control: control.clone(),
        };
        let remote = Self(Arc::new(inner));
        control.spawn(remote.clone().keep());
        remote
    }

    /// Whether there is a link: 1 or 0.
    pub(super) fn links(&self) -> Gauge {
        self.0.links.clone()
    }

    /// What is there under this key. Nothing where the server does not answer in time.
    pub(super) async fn get(&self, key: &Key) -> Option<Bytes> {
        let link = self.0.link.load_full()?;
        let mut command = redis::cmd("GET");
        command.arg(self.name(key));
        let (asked, remote) = (Arc::clone(&link), self.clone());
        // A task of its own: an answer that comes too late says that the server is there.
        let answer = tokio::spawn(async move {
            let answer = asked.ask::<Option<Bytes>>(&command).await;
            if answer.is_ok() {
                remote.hears();
            }
            answer
        });
        match timeout(self.0.settings.timeout, answer).await {
            Ok(Ok(Ok(found))) => {
                self.0.misses.store(0, Ordering::Relaxed);
                found.filter(|found| found.len() <= self.0.most)
            }
            Ok(Ok(Err(error))) => {
                self.fails(&link, &error);
                None
            }
            _ => {
                if self.misses() {
                    self.lose(&link, "it does not answer in time");
                }
                None
            }
        }
    }

    /// Puts there what `write` gives, for as long as it is good. Nobody waits for it, and it is not sent where there is no link, or too much is on its way.
    pub(super) fn put(&self, key: &Key, ttl: Duration, write: impl FnOnce() -> Bytes) {
        let Some(link) = self.0.link.load_full() else { return };
        let value = write();
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).min(i64::MAX as u64);
        if value.len() > self.0.most || ttl == 0 {
            return;
        }
        let Ok(room) = Arc::clone(&self.0.room).try_acquire_many_owned(units(value.len())) else { return };
        let mut command = redis::cmd("SET");
        command.arg(self.name(key)).arg(&value[..]).arg("PX").arg(ttl);
        let remote = self.clone();
        self.0.control.spawn(async move {
            match link.ask::<()>(&command).await {
                Ok(()) => remote.hears(),
                Err(error) => remote.fails(&link, &error),
            }
            drop(room);
        });
    }

    fn name(&self, key: &Key) -> String {
        format!("{}:answer:{}", self.0.settings.prefix, key.hex())
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn hears(&self) {
        self.0.heard.store(self.millis(), Ordering::Relaxed);
    }

    /// One more question has waited in vain; whether that is enough.
    fn misses(&self) -> bool {
        let misses = self.0.misses.fetch_add(1, Ordering::Relaxed) + 1;
        let silence = Duration::from_millis(self.millis().saturating_sub(self.0.heard.load(Ordering::Relaxed)));
        misses >= MANY_MISSES || (misses >= MISSES && silence >= self.0.settings.timeout * SILENCE)
    }

    /// The connection has broken; or the server has refused, because it is full, say: then it is there, and the next question may go well.
    fn fails(&self, link: &Arc<Link>, error: &RedisError) {
        if error.code().is_none() {
            return self.lose(link, &in_words(error));
        }
        self.hears();
        if !link.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(why = in_words(error), "redis refuses what it is asked; what it refuses is not shared with the other routers");
        }
    }

    /// Questions do without the server from here on.
    fn lose(&self, link: &Arc<Link>, why: &str) {
        let mine = self.0.link.load();
        if mine.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, link)) {
            self.0.link.store(None);
            self.0.links.set(0);
            self.say_away(why);
            self.0.lost.notify_one();
        }
    }

    /// Finds the server, stays with it, and finds it again.
    async fn keep(self) {
        loop {
            match self.find().await {
                Ok(link) => {
                    let link = Arc::new(link);
                    self.0.misses.store(0, Ordering::Relaxed);
                    self.hears();
                    self.0.link.store(Some(Arc::clone(&link)));
                    self.0.links.set(1);
                    self.say_back();
                    self.stay(&link).await;
                }
                Err(why) => self.say_away(&why),
            }
            sleep(LOOK_AGAIN.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }

    /// A link that answers.
    async fn find(&self) -> Result<Link, String> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(LATE));
        let connection = self.0.settings.client.get_multiplexed_async_connection_with_config(&config).await;
        let link = Link { connection: connection.map_err(|error| in_words(&error))?, refused: AtomicBool::new(false) };
        link.beat().await?;
        Ok(link)
    }

    async fn stay(&self, link: &Arc<Link>) {
        loop {
            tokio::select! {
                () = self.0.lost.notified() => {}
                () = sleep(BEAT) => {}
            }
            if self.0.link.load().as_ref().is_none_or(|now| !Arc::ptr_eq(now, link)) {
                return;
            }
            match link.beat().await {
                Ok(()) => self.hears(),
                Err(why) => {
                    self.lose(link, &why);
                    return;
                }
            }
        }
    }

    /// Said once.
    fn say_away(&self, why: &str) {
        if !self.0.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "redis is away; this router has the answers that it has kept itself until it is back");
        }
    }

    fn say_back(&self) {
        if self.0.away.swap(false, Ordering::Relaxed) {
            tracing::info!("redis is back; answers are shared with the other routers");
        }
    }
}

/// So many bytes take so much of the [`ROOM`].
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).max(1)
}
