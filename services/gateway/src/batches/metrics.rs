//! What the gateway counts of its batches.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// How a line ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ended(&'static str);

impl EncodeLabelSet for Ended {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("outcome", self.0)].encode(encoder)
    }
}

/// `torchmesh_gateway_batch…`.
#[derive(Debug, Clone, Default)]
pub(super) struct BatchMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    running: Gauge,
    lines: Family<Ended, Counter>,
    retries: Counter,
}

impl BatchMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Inner { running, lines, retries } = &*metrics.0;
        let registry = registry.sub_registry_with_prefix("torchmesh_gateway");
        registry.register("batches_running", "Batches that this gateway runs", running.clone());
        registry.register("batch_lines", "Lines of batches that were answered, by how", lines.clone());
        registry.register("batch_retries", "Calls of batches that were made again", retries.clone());
        metrics
    }

    /// A batch runs for as long as this is kept.
    pub(super) fn running(&self) -> Running {
        self.0.running.inc();
        Running(self.0.running.clone())
    }

    pub(super) fn line(&self, went_well: bool) {
        self.0.lines.get_or_create(&Ended(if went_well { "completed" } else { "failed" })).inc();
    }

    pub(super) fn retry(&self) {
        self.0.retries.inc();
    }
}

/// See [`BatchMetrics::running`].
#[derive(Debug)]
pub(super) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
