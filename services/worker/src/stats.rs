//! The counters behind `ModelStatistics`: what has been run since the model was loaded, and how long it took.

use std::{
    collections::BTreeMap,
    ops::AddAssign,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use torchmesh_api::inference::{InferBatchStatistics, InferStatistics, ModelStatistics, StatisticDuration};

/// A count of events and the time they took together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    count: u64,
    ns: u64,
}

impl Tally {
    /// Adds `count` events that took `time` together.
    pub fn add(&mut self, count: usize, time: Duration) {
        self.count = self.count.saturating_add(count as u64);
        self.ns = self.ns.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Present always: clients read the fields of an absent duration as a mistake.
    #[expect(clippy::unnecessary_wraps, reason = "every field that it fills is optional on the wire")]
    fn wire(self) -> Option<StatisticDuration> {
        Some(StatisticDuration { count: self.count, ns: self.ns })
    }
}

/// Where the time of one batch went.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchTimes {
    /// Joining the requests' tensors.
    pub input: Duration,
    /// The forward pass.
    pub forward: Duration,
    /// Pooling, and cutting the outputs into answers.
    pub output: Duration,
}

impl BatchTimes {
    /// All of it.
    pub fn total(self) -> Duration {
        self.input + self.forward + self.output
    }
}

impl AddAssign for BatchTimes {
    fn add_assign(&mut self, other: Self) {
        self.input += other.input;
        self.forward += other.forward;
        self.output += other.output;
    }
}

/// One batch that ran, as the counters see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ran {
    /// Rows.
    pub rows: usize,
    /// Requests that this batch completed. What follows is of those, together.
    pub completed: usize,
    /// From admission to answer.
    pub total: Duration,
    /// From admission to the first batch.
    pub queued: Duration,
    /// Of all batches that their rows ran in.
    pub spent: BatchTimes,
    /// Where the time of this batch went.
    pub times: BatchTimes,
}

/// The counters of one model version.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    success: Tally,
    fail: Tally,
    queue: Tally,
    input: Tally,
    forward: Tally,
    output: Tally,
    rows: u64,
    batches: u64,
    last_inference_ms: u64,
    by_size: BTreeMap<usize, [Tally; 3]>,
}

impl Stats {
    /// Counts a batch that ran.
    pub fn ran(&self, ran: &Ran) {
        let BatchTimes { input, forward, output } = ran.times;
        let mut counts = self.0.lock();
        counts.success.add(ran.completed, ran.total);
        counts.queue.add(ran.completed, ran.queued);
        counts.input.add(ran.completed, ran.spent.input);
        counts.forward.add(ran.completed, ran.spent.forward);
        counts.output.add(ran.completed, ran.spent.output);
        counts.rows += ran.rows as u64;
        counts.batches += 1;
        counts.last_inference_ms = unix_ms();
        let sizes = counts.by_size.entry(ran.rows).or_default();
        for (tally, time) in sizes.iter_mut().zip([input, forward, output]) {
            tally.add(1, time);
        }
    }

    /// Counts a request that failed after `time`.
    pub fn failed(&self, time: Duration) {
        self.0.lock().fail.add(1, time);
    }

    /// The counters in the protocol's form.
    pub fn wire(&self, name: &str, version: &str) -> ModelStatistics {
        let counts = self.0.lock();
        let batch = |(&rows, &[input, forward, output]): (&usize, &[Tally; 3])| InferBatchStatistics {
            batch_size: rows as u64,
            compute_input: input.wire(),
            compute_infer: forward.wire(),
            compute_output: output.wire(),
        };
        ModelStatistics {
            name: name.to_owned(),
            version: version.to_owned(),
            last_inference: counts.last_inference_ms,
            inference_count: counts.rows,
            execution_count: counts.batches,
            inference_stats: Some(InferStatistics {
                success: counts.success.wire(),
                fail: counts.fail.wire(),
                queue: counts.queue.wire(),
                compute_input: counts.input.wire(),
                compute_infer: counts.forward.wire(),
                compute_output: counts.output.wire(),
                cache_hit: Tally::default().wire(),
                cache_miss: Tally::default().wire(),
            }),
            batch_stats: counts.by_size.iter().map(batch).collect(),
            ..Default::default()
        }
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
