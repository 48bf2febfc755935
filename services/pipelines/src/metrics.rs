//! What `/metrics` shows of the steps. Labels are the pipeline, its version and the step, all of them written by operators, and the gRPC code.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use tonic::Code;
use torchmesh_api::usage::Figures;

use crate::registry::Version;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StepLabels {
    pipeline: String,
    version: String,
    step: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EndLabels {
    pipeline: String,
    version: String,
    step: String,
    code: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct UnitLabels {
    pipeline: String,
    version: String,
    step: String,
    unit: &'static str,
}

/// The steps' metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StepMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: Family<EndLabels, Counter>,
    seconds: Family<StepLabels, Histogram, fn() -> Histogram>,
    units: Family<UnitLabels, Counter>,
}

impl StepMetrics {
    /// Registers `torchmesh_pipelines_step_calls_total`, `…_step_seconds` and `…_step_units_total`.
    pub fn register(registry: &mut Registry) -> Self {
        let buckets: fn() -> Histogram =
            || Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]);
        let inner = Inner { calls: Family::default(), seconds: Family::new_with_constructor(buckets), units: Family::default() };
        let registry = registry.sub_registry_with_prefix("torchmesh_pipelines");
        registry.register("step_calls", "Calls that steps made, by how they ended; each try is one", inner.calls.clone());
        registry.register("step_seconds", "How long the calls took that steps made", inner.seconds.clone());
        registry.register(
            "step_units",
            "What the models used that answered steps: tokens, items, milliseconds of sound",
            inner.units.clone(),
        );
        Self(Arc::new(inner))
    }
}

/// One call of a step, counted when it ends. One that is dropped has been given up, or its time was up.
#[derive(Debug)]
pub struct Counting {
    metrics: StepMetrics,
    labels: StepLabels,
    began: Instant,
    deadline: Instant,
    ended: Option<(Code, Figures)>,
}

impl Counting {
    /// A call begins.
    pub fn begin(metrics: &StepMetrics, pipeline: &Version, step: &str, deadline: Instant) -> Self {
        let labels = StepLabels { pipeline: pipeline.name.to_string(), version: pipeline.version.to_string(), step: step.to_owned() };
        Self { metrics: metrics.clone(), labels, began: Instant::now(), deadline, ended: None }
    }

    /// It has ended, and has used this.
    pub fn end(mut self, code: Code, used: Figures) {
        self.ended = Some((code, used));
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let late = self.deadline <= Instant::now() + Duration::from_millis(1);
        let given_up = if late { Code::DeadlineExceeded } else { Code::Cancelled };
        let (code, used) = self.ended.unwrap_or((given_up, Figures::default()));
        let Inner { calls, seconds, units } = &*self.metrics.0;
        let StepLabels { pipeline, version, step } = self.labels.clone();
        seconds.get_or_create(&self.labels).observe(self.began.elapsed().as_secs_f64());
        let figures = [
            ("prompt_tokens", used.prompt_tokens),
            ("completion_tokens", used.completion_tokens),
            ("items", used.items),
            ("audio_ms", used.audio_ms),
        ];
        for (unit, count) in figures.into_iter().filter(|(_, count)| *count > 0) {
            let labels = UnitLabels { pipeline: pipeline.clone(), version: version.clone(), step: step.clone(), unit };
            units.get_or_create(&labels).inc_by(count);
        }
        calls.get_or_create(&EndLabels { pipeline, version, step, code: format!("{code:?}") }).inc();
    }
}
