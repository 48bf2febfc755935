//! What `/metrics` shows of the worker. Labels are the model and its version, and the gRPC code where calls end.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tonic::Code;

use crate::language::LanguageMetrics;

/// The model version that a series is of.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ModelLabels {
    model: String,
    version: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    model: String,
    version: String,
    code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RefusalLabels {
    model: String,
    version: String,
    reason: &'static str,
}

type Histograms = Family<ModelLabels, Histogram, fn() -> Histogram>;

/// Every family of the worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    requests: Family<CallLabels, Counter>,
    depth: Family<ModelLabels, Gauge>,
    dropped: Family<ModelLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    wait_seconds: Family<ModelLabels, Seconds>,
    queue_seconds: Histograms,
    forward_seconds: Histograms,
    tokenise_seconds: Histograms,
    decode_seconds: Histograms,
    batch_rows: Histograms,
    tokens: Family<ModelLabels, Counter>,
    padded_tokens: Family<ModelLabels, Counter>,
    fetched_bytes: Family<ModelLabels, Counter>,
    failed_fetches: Family<ModelLabels, Counter>,
    language: LanguageMetrics,
}

/// From 10 µs to 40 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-5, 2.0, 23))
}

/// From 1 to 4096.
fn rows() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 13))
}

impl WorkerMetrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self {
            requests: Family::default(),
            depth: Family::default(),
            dropped: Family::default(),
            refused: Family::default(),
            wait_seconds: Family::default(),
            queue_seconds: Family::new_with_constructor(seconds),
            forward_seconds: Family::new_with_constructor(seconds),
            tokenise_seconds: Family::new_with_constructor(seconds),
            decode_seconds: Family::new_with_constructor(seconds),
            batch_rows: Family::new_with_constructor(rows),
            tokens: Family::default(),
            padded_tokens: Family::default(),
            fetched_bytes: Family::default(),
            failed_fetches: Family::default(),
            language: LanguageMetrics::register(registry),
        };
        let registry = registry.sub_registry_with_prefix("torchmesh_worker");
        registry.register("requests", "Inference calls, by the code they ended with", made.requests.clone());
        registry.register("queue_depth_requests", "Requests waiting for an executor", made.depth.clone());
        registry.register("dropped_requests", "Requests that left the queue before they cost a forward", made.dropped.clone());
        registry.register("refused_requests", "Requests that were not let into the queue, by the reason", made.refused.clone());
        registry.register("predicted_wait_seconds", "How long a new request would wait for an executor", made.wait_seconds.clone());
        registry.register("queue_seconds", "From admission to the first batch of a request", made.queue_seconds.clone());
        registry.register("forward_seconds", "One forward pass", made.forward_seconds.clone());
        registry.register("tokenise_seconds", "Tokenising the texts of one request", made.tokenise_seconds.clone());
        registry.register("decode_seconds", "Decoding one image, recording or chunk of sound", made.decode_seconds.clone());
        registry.register("batch_rows", "Rows of one forward pass", made.batch_rows.clone());
        registry.register("tokens", "Sequence elements that requests brought", made.tokens.clone());
        registry.register("padded_tokens", "Sequence elements that forwards ran, padding included", made.padded_tokens.clone());
        registry.register("fetched_bytes", "Bytes of model files that came from their sources", made.fetched_bytes.clone());
        registry.register("failed_fetches", "Fetches of a model version that have failed", made.failed_fetches.clone());
        made
    }

    /// The series of one model version.
    pub fn model(&self, model: &str, version: &str) -> ModelMetrics {
        let labels = ModelLabels { model: model.to_owned(), version: version.to_owned() };
        let call = |code| CallLabels { model: model.to_owned(), version: version.to_owned(), code };
        let refusal = |reason| RefusalLabels { model: model.to_owned(), version: version.to_owned(), reason };
        ModelMetrics {
            ok: self.requests.get_or_create_owned(&call(code_name(Code::Ok))),
            requests: self.requests.clone(),
            queue: QueueMetrics {
                depth: self.depth.get_or_create_owned(&labels),
                wait_seconds: self.wait_seconds.get_or_create_owned(&labels),
                dropped: self.dropped.get_or_create_owned(&labels),
                refused_full: self.refused.get_or_create_owned(&refusal("full")),
                refused_late: self.refused.get_or_create_owned(&refusal("late")),
            },
            queue_seconds: self.queue_seconds.get_or_create_owned(&labels),
            forward_seconds: self.forward_seconds.get_or_create_owned(&labels),
            tokenise_seconds: self.tokenise_seconds.get_or_create_owned(&labels),
            decode_seconds: self.decode_seconds.get_or_create_owned(&labels),
            batch_rows: self.batch_rows.get_or_create_owned(&labels),
            tokens: self.tokens.get_or_create_owned(&labels),
            padded_tokens: self.padded_tokens.get_or_create_owned(&labels),
            fetched_bytes: self.fetched_bytes.get_or_create_owned(&labels),
            failed_fetches: self.failed_fetches.get_or_create_owned(&labels),
            language: self.language.clone(),
            labels,
        }
    }
}

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;

/// The series of a queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Requests waiting.
    pub depth: Gauge,
    /// How long a new request would wait, as far as the measured forwards tell.
    pub wait_seconds: Seconds,
    /// Requests that left the queue before they cost a forward.
    pub dropped: Counter,
    /// Requests refused because the queue was full.
    pub refused_full: Counter,
    /// Requests refused because they would have missed their deadline.
    pub refused_late: Counter,
}

/// The series of one model version, looked up once.
#[derive(Clone, Debug)]
pub struct ModelMetrics {
    labels: ModelLabels,
    requests: Family<CallLabels, Counter>,
    ok: Counter,
    /// Of its queue.
    pub queue: QueueMetrics,
    /// From admission to the first batch.
    pub queue_seconds: Histogram,
    /// One forward pass.
    pub forward_seconds: Histogram,
    /// Tokenising one request.
    pub tokenise_seconds: Histogram,
    /// Decoding one image, recording or chunk of sound.
    pub decode_seconds: Histogram,
    /// Rows of one forward pass.
    pub batch_rows: Histogram,
    /// Sequence elements that requests brought.
    pub tokens: Counter,
    /// Sequence elements that forwards ran.
    pub padded_tokens: Counter,
    /// Bytes of its files that came from their source.
    pub fetched_bytes: Counter,
    /// Fetches that have failed.
    pub failed_fetches: Counter,
    /// What language models show besides.
    pub language: LanguageMetrics,
}

impl ModelMetrics {
    /// Counts a call that ended with `code`.
    pub fn count(&self, code: Code) {
        if code == Code::Ok {
            self.ok.inc();
            return;
        }
        let ModelLabels { model, version } = self.labels.clone();
        self.requests.get_or_create(&CallLabels { model, version, code: code_name(code) }).inc();
    }
}

/// The code as gRPC spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
