//! One data thread's way to the server, and the breaker on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::RedisError;
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{
    Fleet,
    ask::{self, Correction},
    link::Link,
};
use crate::{
    cell::Now,
    charge::{Charges, Verdict},
};

/// How often a lane says that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// How long an answer to that may take: longer than a call waits, so that one slow moment does not end the link.
const BEAT_WITHIN: Duration = Duration::from_secs(1);
/// How long it is until the server is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// So many calls in a row that had no answer in time end the link, when nothing was heard meanwhile, not even too late: for [`SILENCE`] times as long as
/// a call waits. This thread may have been busy for a moment itself, and then many calls miss their answers at once.
const MISSES: u32 = 3;
const SILENCE: u32 = 4;
/// So many end it whatever was heard: answers that are always late are none.
const MANY_MISSES: u32 = 64;
/// So many corrections are told at once.
const PART: usize = 500;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fleet: Arc<Fleet>,
    link: ArcSwapOption<Link>,
    lost: Notify,
    misses: AtomicU32,
    /// When the server was heard last, in milliseconds from `began`.
    heard: AtomicU64,
    began: Instant,
}

impl Inner {
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn hears(&self) {
        self.heard.store(self.millis(), Ordering::Relaxed);
    }

    /// One more call has waited in vain; whether that is enough.
    fn misses(&self) -> bool {
        let misses = self.misses.fetch_add(1, Ordering::Relaxed) + 1;
        let silence = Duration::from_millis(self.millis().saturating_sub(self.heard.load(Ordering::Relaxed)));
        misses >= MANY_MISSES || (misses >= MISSES && silence >= self.fleet.timeout * SILENCE)
    }
}

impl Lane {
    /// Begins to look for the server, on the runtime that this is called on.
    pub fn start(fleet: Arc<Fleet>) -> Self {
        let inner = Inner {
            fleet,
            link: ArcSwapOption::empty(),
            lost: Notify::new(),
            misses: AtomicU32::new(0),
            heard: AtomicU64::new(0),
            began: Instant::now(),
        };
        let lane = Self(Arc::new(inner));
        tokio::spawn(keep(lane.clone()));
        lane
    }

    /// The link, while there is one.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.0.link.load_full()
    }

    /// What the lanes of the process have in common.
    pub fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    /// Has a call decided by the server. Nothing when it does not answer in time: then the call has to be decided here.
    ///
    /// A caller who leaves meanwhile, or did not get the answer in time, is charged nothing.
    pub async fn admit(&self, link: &Arc<Link>, charges: &Charges, now: &Now) -> Option<Verdict> {
        let epoch = self.0.fleet.epoch.load(Ordering::Relaxed);
        let question = link.question(charges, now, epoch);
        let (tell, told) = oneshot::channel();
        let (asked, theirs, at, lane) = (Arc::clone(link), Arc::clone(charges), *now, self.clone());
        // A task of its own: whether or not anybody waits for the answer, what it charged must not be forgotten.
        tokio::spawn(async move {
            let answer: Result<Vec<i64>, RedisError> = asked.send(question).await;
            if answer.is_ok() {
                lane.0.hears();
            }
            if let Err(Ok(answer)) = tell.send(answer)
                && answer.first() == Some(&1)
                && let Err(error) = asked.undo(&theirs, &at).await
            {
                tracing::debug!(%error, "what a call was charged that did not wait could not be taken back");
            }
        });
        match timeout(self.0.fleet.timeout, told).await {
            Ok(Ok(Ok(answer))) => {
                self.0.misses.store(0, Ordering::Relaxed);
                ask::read(charges, &answer, now, epoch)
            }
            Ok(Ok(Err(error))) => {
                self.lose(link, &in_words(&error));
                None
            }
            _ => {
                if self.0.misses() {
                    self.lose(link, "it does not answer in time");
                }
                None
            }
        }
    }

    /// What quotas grew by without the server.
    pub fn owe_grown(&self, charges: &Charges, now: &Now) {
        self.0.fleet.owe(&ask::grown(charges, now));
    }

    /// Tells the server of corrections; those of quotas later when it is away. `by` is the link that had let the call in, if one had.
    pub fn correct(&self, by: Option<&Link>, mut corrections: Vec<Correction>) {
        let now = self.link();
        let same = by.zip(now.as_deref()).is_some_and(|(by, now)| by.number == now.number);
        if !same {
            // What another link's lane held is forgotten with it, and what rates were decided here was never the server's.
            corrections.retain(Correction::is_quota);
        }
        if corrections.is_empty() {
            return;
        }
        match (now, tokio::runtime::Handle::try_current()) {
            (Some(link), Ok(runtime)) => {
                let lane = self.clone();
                runtime.spawn(async move {
                    if let Err(error) = link.correct(&corrections).await {
                        lane.0.fleet.owe(&corrections);
                        lane.lose(&link, &in_words(&error));
                    }
                });
            }
            _ => self.0.fleet.owe(&corrections),
        }
    }

    /// Calls do without the server from here on.
    fn lose(&self, link: &Arc<Link>, why: &str) {
        let mine = self.0.link.load();
        if mine.as_ref().is_some_and(|mine| mine.number == link.number) {
            self.0.link.store(None);
            self.0.fleet.linked.fetch_sub(1, Ordering::Relaxed);
            self.0.fleet.epoch.fetch_add(1, Ordering::Relaxed);
            self.0.fleet.say_away(why);
            self.0.lost.notify_one();
        }
    }
}

/// Finds the server, stays with it, and finds it again.
async fn keep(lane: Lane) {
    let fleet = Arc::clone(&lane.0.fleet);
    loop {
        match find(&fleet).await {
            Ok(link) => {
                let link = Arc::new(link);
                lane.0.misses.store(0, Ordering::Relaxed);
                lane.0.hears();
                fleet.linked.fetch_add(1, Ordering::Relaxed);
                lane.0.link.store(Some(Arc::clone(&link)));
                fleet.say_back();
                stay(&lane, &link).await;
            }
            Err(why) => fleet.say_away(&why),
        }
        sleep(LOOK_AGAIN.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
    }
}

/// A link that answers, and knows what happened without the server.
async fn find(fleet: &Fleet) -> Result<Link, String> {
    let number = fleet.links.fetch_add(1, Ordering::Relaxed) + 1;
    let link = Link::open(fleet, number).await.map_err(|error| in_words(&error))?;
    beat(fleet, &link).await?;
    let owed = fleet.take_owed();
    for (at, part) in owed.chunks(PART).enumerate() {
        if let Err(error) = link.correct(part).await {
            fleet.owe(&owed[at * PART..]);
            return Err(in_words(&error));
        }
    }
    Ok(link)
}

async fn stay(lane: &Lane, link: &Arc<Link>) {
    loop {
        tokio::select! {
            () = lane.0.lost.notified() => {}
            () = sleep(BEAT) => {}
        }
        if lane.link().is_none_or(|now| now.number != link.number) {
            return;
        }
        if let Err(why) = beat(&lane.0.fleet, link).await {
            lane.lose(link, &why);
            return;
        }
    }
}

async fn beat(fleet: &Fleet, link: &Link) -> Result<(), String> {
    match timeout(BEAT_WITHIN, link.beat()).await {
        Ok(Ok(gateways)) => {
            fleet.gateways.store(gateways.max(1), Ordering::Relaxed);
            Ok(())
        }
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err("it does not answer in time".to_owned()),
    }
}

/// The kind of an error and what the server said; never the address, which may have a password in it.
fn in_words(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.category()),
        None => error.category().to_owned(),
    }
}
