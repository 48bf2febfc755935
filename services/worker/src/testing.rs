//! A fake engine, and what tests of everything around the real one need: no libtorch, no sleeping.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::registry::Registry;

use crate::{
    admission::{Caller, Part, Queue, QueueSettings, Submission},
    engine::{Engine, EngineError, EngineSpec},
    executor::{Assignment, EngineLoader, Executor, Finish},
    manifest::{Manifest, Published},
    metrics::{ModelMetrics, WorkerMetrics},
    stats::Stats,
    tensor::Tensor,
};

/// How long a test waits for what must happen: long enough for the slowest machine, since nobody waits for it in vain.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first element of a row that makes the fake engine fail.
pub(crate) const FAILS: i64 = -1;
/// The first element of a row that makes the fake engine panic.
pub(crate) const PANICS: i64 = -2;

/// The first element of a batch of more than one row that the fake engine has no memory for.
pub(crate) const LARGE: i64 = -3;

/// A manifest of one `INT64` input `x` and one output `y`, both [-1, -1] with padding.
pub(crate) const ECHO: &str = "task = 'tensor'\n\
    [[inputs]]\nname = 'x'\ndatatype = 'INT64'\nshape = [-1, -1]\npad = 0\n\
    [[outputs]]\nname = 'y'\ndatatype = 'INT64'\nshape = [-1, -1]\n\
    [warmup]\nbatch_sizes = [1]\nlengths = [1]\n";

/// A gate that holds forwards up, so that a test decides when the engine is busy.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
}

impl Gate {
    /// Forwards stop here from now on.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Every forward passes.
    pub(crate) fn open(&self) {
        self.state.lock().closed = false;
        self.changed.notify_all();
    }

    /// Returns once a forward stands at the gate.
    pub(crate) fn wait_for_forward(&self) {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        while state.waiting == 0 {
            assert!(!self.changed.wait_until(&mut state, until).timed_out(), "no forward came");
        }
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }
}

/// What the fake engines of a test have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The first inputs of every forward but each engine's first ones, the warm-up's.
    pub(crate) batches: Mutex<Vec<Tensor>>,
    /// How often an engine was loaded.
    pub(crate) loads: AtomicUsize,
    /// Set to make every later load fail.
    pub(crate) refuse_loads: std::sync::atomic::AtomicBool,
    /// Where forwards wait.
    pub(crate) gate: Gate,
}

impl Seen {
    /// A loader of engines that report here: each returns its only input, or what an encoder makes of token ids and a mask.
    pub(crate) fn loader(self: &Arc<Self>) -> EngineLoader {
        let seen = Arc::clone(self);
        Arc::new(move |_: &EngineSpec| {
            if seen.refuse_loads.load(Ordering::Relaxed) {
                return Err(EngineError::load("model.pt", "no room"));
            }
            seen.loads.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(FakeEngine { seen: Arc::clone(&seen), warm: false }) as Box<dyn Engine>)
        })
    }

    /// The shapes of the batches, in order.
    pub(crate) fn shapes(&self) -> Vec<Vec<i64>> {
        self.batches.lock().iter().map(|batch| batch.shape.clone()).collect()
    }
}

struct FakeEngine {
    seen: Arc<Seen>,
    warm: bool,
}

impl Engine for FakeEngine {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let first = &inputs[0];
        let values = first.to_i64s().unwrap_or_default();
        // The warm-up is all zeros.
        self.warm |= first.data.iter().any(|&byte| byte != 0);
        if self.warm {
            self.seen.batches.lock().push(first.clone());
            self.seen.gate.pass();
        }
        assert!(!values.contains(&PANICS), "told to panic");
        if values.contains(&FAILS) {
            return Err(EngineError::forward("told to fail\nat /secret/path"));
        }
        if values.contains(&LARGE) && first.shape[0] > 1 {
            return Err(EngineError::forward("std::bad_alloc"));
        }
        Ok(vec![if inputs.len() == 2 { hidden(first, &values) } else { first.clone() }])
    }

    fn platform(&self) -> &'static str {
        "fake"
    }
}

/// What an encoder might return: for each token its id, and 1.
fn hidden(ids: &Tensor, values: &[i64]) -> Tensor {
    let vectors: Vec<f32> = values.iter().flat_map(|&id| [id as f32, 1.0]).collect();
    Tensor::from_f32s([ids.shape[0], ids.shape[1], 2], &vectors)
}

/// A queue with one executor thread on a fake engine.
pub(crate) struct Bench {
    pub(crate) queue: Arc<Queue>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) metrics: ModelMetrics,
    pub(crate) executor: std::thread::JoinHandle<Result<(), String>>,
}

impl Bench {
    /// Starts the executor with [`ECHO`] and `settings` behind it.
    pub(crate) fn start(settings: &str) -> Self {
        Self::of(&format!("{ECHO}{settings}"))
    }

    /// Starts the executor with a whole manifest.
    pub(crate) fn of(manifest: &str) -> Self {
        let manifest = Arc::new(Manifest::parse(manifest, &Published::default()).unwrap());
        let metrics = WorkerMetrics::register(&mut Registry::default()).model("m", "1");
        let seen = Arc::new(Seen::default());
        let queue = queue(&manifest, &metrics);
        let assignment = Assignment {
            model: "m".into(),
            spec: EngineSpec::new("model.pt"),
            manifest,
            load: seen.loader(),
            finish: Finish::default(),
            queue: Arc::clone(&queue),
            metrics: metrics.clone(),
            stats: Arc::default(),
        };
        let stats = Arc::clone(&assignment.stats);
        let (executor, _) = Executor::prepare(assignment).unwrap();
        let executor = std::thread::spawn(move || executor.run());
        Self { queue, seen, stats, metrics, executor }
    }

    /// Closes the gate and sends a request up to it, so that what follows piles up in the queue.
    pub(crate) fn occupy(&self) -> crate::admission::Pending {
        self.seen.gate.close();
        let pending = self.queue.push(request(&[7])).unwrap();
        self.seen.gate.wait_for_forward();
        pending
    }
}

/// The queue of a manifest.
pub(crate) fn queue(manifest: &Manifest, metrics: &ModelMetrics) -> Arc<Queue> {
    Queue::new(QueueSettings {
        limits: manifest.queue.clone(),
        batching: manifest.batching.clone(),
        instances: 1,
        metrics: metrics.queue.clone(),
    })
}

/// A request of one row.
pub(crate) fn request(row: &[i64]) -> Submission {
    Submission { parts: vec![part(1, row)], deadline: None, caller: Caller::default(), span: tracing::Span::none() }
}

/// A part of `rows` rows that hold `values` together.
pub(crate) fn part(rows: usize, values: &[i64]) -> Part {
    let length = values.len() / rows;
    let shape = [rows, length].map(|dim| i64::try_from(dim).unwrap());
    Part { rows, length, shape: Box::default(), inputs: vec![Tensor::from_i64s(shape, values)], attribution: None }
}

/// Waits for `future` on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("no answer came") })
}

/// Waits until `done` holds.
pub(crate) fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "never saw: {what}");
        std::thread::yield_now();
    }
}
