//! What is seen of each version that callers meet: counted as calls end, without a lock, on the data thread that has the call.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use torchmesh_api::ids::{ModelName, ModelVersion};

use crate::rollout::{
    Evidence, Snapshot,
    histogram::{BUCKETS, Histogram, bucket_of},
};

/// Whose doing it was that a call ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was answered.
    Answered,
    /// The version failed it.
    Failed,
    /// The version calls it the caller's mistake.
    Refused,
    /// The caller gave it up: it says nothing of the version.
    Left,
}

impl Ending {
    /// By the status, a decimal gRPC code.
    ///
    /// UNKNOWN, INTERNAL, UNAVAILABLE and DATA_LOSS are failures; so is DEADLINE_EXCEEDED, since being in time is the version's to do, and RESOURCE_EXHAUSTED, since a
    /// version that cannot take its share of the calls is not ready for more: where callers leave too little time or send too much, both versions have it, and
    /// neither is blamed. CANCELLED is the caller's leaving. Anything else (INVALID_ARGUMENT, NOT_FOUND, …) is called the caller's mistake by the version, and is
    /// counted apart.
    pub fn of(code: &[u8]) -> Self {
        match code {
            b"0" => Self::Answered,
            b"1" => Self::Left,
            b"2" | b"4" | b"8" | b"13" | b"14" | b"15" => Self::Failed,
            _ => Self::Refused,
        }
    }
}

/// One version's counts.
#[derive(Debug)]
pub struct Watched {
    epoch: u64,
    shards: Box<[Shard]>,
    compared: AtomicU64,
    disagreed: AtomicU64,
}

/// One data thread's counts, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    begun: AtomicU64,
    ended: AtomicU64,
    left: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    latency: Box<[AtomicU64]>,
}

impl Shard {
    fn new() -> Self {
        let [begun, ended, left, failed, refused] = [0; 5].map(AtomicU64::new);
        Self { begun, ended, left, failed, refused, latency: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }

    fn end(&self, ending: Ending, took: Duration) {
        match ending {
            Ending::Answered => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latency[bucket_of(micros)].fetch_add(1, Relaxed);
            }
            Ending::Failed => {
                self.failed.fetch_add(1, Relaxed);
            }
            Ending::Refused => {
                self.refused.fetch_add(1, Relaxed);
            }
            Ending::Left => {
                self.left.fetch_add(1, Relaxed);
            }
        }
        self.ended.fetch_add(1, Relaxed);
    }
}

/// A version's counts, for whoever shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The counts since the version came into the table.
    pub snapshot: Snapshot,
    /// Calls that began, those that the caller gave up too: the difference of two over the time between them is the requests a second.
    pub begun: u64,
    /// Calls that have not ended.
    pub in_flight: u64,
}

impl Watched {
    /// Counts for so many data threads; `epoch` is a random number.
    pub fn new(threads: usize, epoch: u64) -> Self {
        let shards = (0..threads.max(1)).map(|_| Shard::new()).collect();
        Self { epoch, shards, compared: AtomicU64::new(0), disagreed: AtomicU64::new(0) }
    }

    /// A call begins on this data thread. Its time is up at `deadline`: one that is dropped later than that has failed.
    pub fn begin(self: &Arc<Self>, thread: usize, started: Instant, deadline: Option<Instant>) -> Watch {
        let thread = thread % self.shards.len();
        self.shards[thread].begun.fetch_add(1, Relaxed);
        Watch { watched: Arc::clone(self), thread, started, deadline, ending: None }
    }

    /// An answer was compared with the one that a caller got.
    pub fn compared(&self, agrees: bool) {
        // First the comparison: were it read between the two, the answers would seem to agree a little more, never more than all to differ.
        self.compared.fetch_add(1, Relaxed);
        self.disagreed.fetch_add(u64::from(!agrees), Relaxed);
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        let mut seen = Evidence { disagreed: self.disagreed.load(Relaxed), compared: self.compared.load(Relaxed), ..Default::default() };
        let (mut begun, mut ended, mut latency) = (0, 0, Histogram::default());
        for shard in &self.shards {
            ended += shard.ended.load(Relaxed);
            begun += shard.begun.load(Relaxed);
            seen.errors += shard.failed.load(Relaxed);
            seen.refused += shard.refused.load(Relaxed);
            shard.latency.iter().enumerate().for_each(|(bucket, count)| latency.add(bucket, count.load(Relaxed)));
        }
        seen.calls = latency.total() + seen.errors + seen.refused;
        seen.latency = latency;
        Seen { snapshot: Snapshot { epoch: self.epoch, seen }, begun, in_flight: begun.saturating_sub(ended) }
    }
}

/// One call's entry, counted when it is dropped.
#[derive(Debug)]
pub struct Watch {
    watched: Arc<Watched>,
    thread: usize,
    started: Instant,
    deadline: Option<Instant>,
    ending: Option<Ending>,
}

impl Watch {
    /// How it ended, as far as is known.
    pub fn ends(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let now = Instant::now();
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let ending = self.ending.unwrap_or(if late { Ending::Failed } else { Ending::Left });
        self.watched.shards[self.thread].end(ending, now.saturating_duration_since(self.started));
    }
}

/// The counts of all versions that are in the table.
#[derive(Debug)]
pub struct Watching {
    threads: usize,
    versions: Mutex<HashMap<(ModelName, ModelVersion), Arc<Watched>>>,
}

impl Watching {
    /// For so many data threads.
    pub fn new(threads: usize) -> Self {
        Self { threads, versions: Mutex::default() }
    }

    /// A version's counts, begun anew where it was not there.
    pub fn of(&self, model: &ModelName, version: ModelVersion) -> Arc<Watched> {
        let mut versions = self.versions.lock();
        let watched = versions.entry((model.clone(), version));
        Arc::clone(watched.or_insert_with(|| Arc::new(Watched::new(self.threads, fastrand::u64(1..)))))
    }

    /// Forgets what was seen of a version.
    pub fn forget(&self, model: &ModelName, version: ModelVersion) {
        self.versions.lock().remove(&(model.clone(), version));
    }

    /// What was seen of every version, in their order.
    pub fn snapshot(&self) -> Vec<(ModelName, ModelVersion, Seen)> {
        let versions: Vec<_> =
            self.versions.lock().iter().map(|((model, version), watched)| (model.clone(), *version, Arc::clone(watched))).collect();
        let mut seen: Vec<_> = versions.into_iter().map(|(model, version, watched)| (model, version, watched.seen())).collect();
        seen.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(with: impl FnOnce(&Arc<Watched>)) -> Evidence {
        let watched = Arc::new(Watched::new(2, 7));
        with(&watched);
        watched.seen().snapshot.seen
    }

    fn call(watched: &Arc<Watched>, thread: usize, code: &[u8]) {
        watched.begin(thread, Instant::now(), None).ends(Ending::of(code));
    }

    #[test]
    fn a_status_is_the_versions_fault_the_callers_or_nobodys() {
        let seen = ended(|watched| {
            for code in ["0", "1", "2", "3", "4", "5", "8", "12", "13", "14", "15"] {
                call(watched, 0, code.as_bytes());
            }
        });
        assert_eq!((seen.calls, seen.errors, seen.refused, seen.latency.total()), (10, 6, 3, 1));
    }

    #[test]
    fn a_call_that_is_dropped_was_given_up_and_after_its_deadline_it_was_too_slow() {
        let now = Instant::now();
        let seen = ended(|watched| {
            drop(watched.begin(0, now, None));
            drop(watched.begin(1, now, Some(now + Duration::from_secs(3600))));
            drop(watched.begin(1, now, Some(now)));
        });
        assert_eq!((seen.calls, seen.errors), (1, 1));
    }

    #[test]
    fn calls_of_all_threads_are_added_up_and_those_in_flight_are_known() {
        let watched = Arc::new(Watched::new(2, 7));
        (0..10).for_each(|at| call(&watched, at, b"0"));
        let open = watched.begin(5, Instant::now(), None);
        let Seen { snapshot, begun, in_flight } = watched.seen();
        assert_eq!((snapshot.seen.calls, snapshot.epoch, begun, in_flight), (10, 7, 11, 1));
        drop(open);
        assert_eq!(watched.seen().in_flight, 0);
    }

    #[test]
    fn a_version_that_was_gone_begins_at_nothing() {
        let (watching, model) = (Watching::new(1), ModelName::parse("m").unwrap());
        let version = ModelVersion::parse("3").unwrap();
        call(&watching.of(&model, version), 0, b"0");
        let before = watching.snapshot().remove(0).2.snapshot;
        watching.forget(&model, version);
        assert!(watching.snapshot().is_empty());
        let after = watching.of(&model, version).seen().snapshot;
        assert_eq!((before.seen.calls, after.seen.calls), (1, 0));
        assert_ne!(before.epoch, after.epoch);
    }
}
