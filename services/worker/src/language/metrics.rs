//! What `/metrics` shows of language models: how long callers wait for tokens, and how full the model is. The second under vLLM's names too, by which
//! Kubernetes' inference gateways choose where a request goes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use torchmesh_generation::Figures;

use super::LanguageModel;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Labels {
    model: String,
    version: String,
}

/// As vLLM labels its own.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Named {
    model_name: String,
}

type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The families. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LanguageMetrics {
    first_token: Histograms,
    token_gap: Histograms,
    prompt_tokens: Family<Labels, Counter>,
    completion_tokens: Family<Labels, Counter>,
    figures: LanguageFigures,
}

/// The series of one model version.
#[derive(Clone, Debug)]
pub struct LanguageSeries {
    /// From a request to its first text.
    pub first_token: Histogram,
    /// From one piece of text to the next.
    pub token_gap: Histogram,
    /// Tokens of prompts.
    pub prompt_tokens: Counter,
    /// Tokens of answers.
    pub completion_tokens: Counter,
}

/// The models whose figures are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct LanguageFigures(Arc<Mutex<BTreeMap<Labels, Weak<LanguageModel>>>>);

/// From 0.1 ms to 200 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 22))
}

impl LanguageMetrics {
    /// Registers the families; `registry` has no prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let made = Self {
            first_token: Family::new_with_constructor(seconds),
            token_gap: Family::new_with_constructor(seconds),
            prompt_tokens: Family::default(),
            completion_tokens: Family::default(),
            figures: LanguageFigures::default(),
        };
        registry.register_collector(Box::new(made.figures.clone()));
        let registry = registry.sub_registry_with_prefix("torchmesh_worker");
        registry.register("first_token_seconds", "From a request to its first text", made.first_token.clone());
        registry.register("token_gap_seconds", "From one piece of text of an answer to the next", made.token_gap.clone());
        registry.register("prompt_tokens", "Tokens of prompts that were answered", made.prompt_tokens.clone());
        registry.register("completion_tokens", "Tokens of answers", made.completion_tokens.clone());
        made
    }

    /// The series of one model version.
    pub fn model(&self, model: &str, version: &str) -> LanguageSeries {
        let labels = Labels { model: model.to_owned(), version: version.to_owned() };
        LanguageSeries {
            first_token: self.first_token.get_or_create_owned(&labels),
            token_gap: self.token_gap.get_or_create_owned(&labels),
            prompt_tokens: self.prompt_tokens.get_or_create_owned(&labels),
            completion_tokens: self.completion_tokens.get_or_create_owned(&labels),
        }
    }

    /// Shows a model's figures for as long as it lives.
    pub fn show(&self, model: &str, version: &str, of: &Arc<LanguageModel>) {
        let labels = Labels { model: model.to_owned(), version: version.to_owned() };
        self.figures.0.lock().insert(labels, Arc::downgrade(of));
    }
}

/// A gauge: its name, what it says, and how it is read.
type Shown = (&'static str, &'static str, fn(&Figures) -> f64);

const GAUGES: [Shown; 4] = [
    ("torchmesh_worker_running_sequences", "Sequences that are being written", |f| f.running as f64),
    ("torchmesh_worker_waiting_sequences", "Sequences that wait for their place", |f| f.waiting as f64),
    ("torchmesh_worker_cache_used_ratio", "Part of the cache of keys and values that sequences hold", used),
    ("torchmesh_worker_cache_kept_ratio", "Part of the cache that keeps what may be asked for again", |f| {
        f.blocks_cached as f64 / f.blocks.max(1) as f64
    }),
];

/// A counter, likewise.
type Counted = (&'static str, &'static str, fn(&Figures) -> u64);

const COUNTERS: [Counted; 7] = [
    ("torchmesh_worker_steps", "Steps of the model", |f| f.steps),
    ("torchmesh_worker_read_prompt_tokens", "Prompt tokens that were read", |f| f.prompt_tokens),
    ("torchmesh_worker_cached_prompt_tokens", "Prompt tokens that were in the cache", |f| f.prompt_tokens_cached),
    ("torchmesh_worker_repeated_tokens", "Tokens that were read again, after a preemption or a failed step", |f| f.tokens_read_again),
    ("torchmesh_worker_preemptions", "Sequences that lost their place to others for a while", |f| f.preemptions),
    ("torchmesh_worker_guessed_tokens", "Tokens that were guessed", |f| f.guesses),
    ("torchmesh_worker_right_guesses", "Guesses that were right", |f| f.guesses_accepted),
];

const OF_VLLM: [Shown; 3] = [
    ("vllm:num_requests_running", "Sequences that are being written", |f| f.running as f64),
    ("vllm:num_requests_waiting", "Sequences that wait for their place", |f| f.waiting as f64),
    ("vllm:kv_cache_usage_perc", "Part of the cache of keys and values that sequences hold, 1 is all", used),
];

fn used(figures: &Figures) -> f64 {
    figures.blocks_used as f64 / figures.blocks.max(1) as f64
}

impl Collector for LanguageFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut models = self.0.lock();
        models.retain(|_, model| model.strong_count() > 0);
        let all: Vec<(Labels, Figures)> =
            models.iter().filter_map(|(labels, model)| Some((labels.clone(), model.upgrade()?.figures()))).collect();
        drop(models);
        if all.is_empty() {
            return Ok(());
        }
        for (name, help, read) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, figures) in &all {
                ConstGauge::new(read(figures)).encode(family.encode_family(labels)?)?;
            }
        }
        for (name, help, read) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, figures) in &all {
                ConstCounter::new(read(figures)).encode(family.encode_family(labels)?)?;
            }
        }
        for (name, help, read) in OF_VLLM {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (name, value) in by_name(&all, read) {
                ConstGauge::new(value).encode(family.encode_family(&Named { model_name: name })?)?;
            }
        }
        Ok(())
    }
}

/// vLLM knows no versions: of several the most loaded one stands for the model.
fn by_name(all: &[(Labels, Figures)], read: fn(&Figures) -> f64) -> BTreeMap<String, f64> {
    let mut names: BTreeMap<String, f64> = BTreeMap::new();
    for (labels, figures) in all {
        let value = names.entry(labels.model.clone()).or_default();
        *value = value.max(read(figures));
    }
    names
}
