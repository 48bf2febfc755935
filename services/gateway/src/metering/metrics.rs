//! What the meter counts of itself.

use std::sync::{Arc, atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use torchmesh_spool::Figures;

/// Where events are shipped to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct To(&'static str);

impl EncodeLabelSet for To {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        [("sink", self.0)].encode(encoder)
    }
}

/// `torchmesh_gateway_metering_…`.
#[derive(Debug, Clone, Default)]
pub struct MeteringMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: Counter,
    lost: Counter,
    refused: Counter,
    syncs: Counter,
    bytes: Gauge,
    shipped: Family<To, Counter>,
    failures: Family<To, Counter>,
    oldest: Family<To, Gauge<f64, AtomicU64>>,
}

impl MeteringMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Inner { events, lost, refused, syncs, bytes, shipped, failures, oldest } = &*metrics.0;
        let registry = registry.sub_registry_with_prefix("torchmesh_gateway_metering");
        registry.register("events", "Usage events that are durable", events.clone());
        registry.register("lost_events", "Usage events that could not be written", lost.clone());
        registry.register("refused_calls", "Calls that were refused because no event could have been written of them", refused.clone());
        registry.register("syncs", "Syncs of the spool", syncs.clone());
        registry.register("spool_bytes", "Bytes of the spool's files", bytes.clone());
        registry.register(
            "shipped_events",
            "Usage events that a sink has acknowledged, those that it got twice counted twice",
            shipped.clone(),
        );
        registry.register("shipping_failures", "Times that a sink did not take events", failures.clone());
        registry.register("oldest_unshipped_seconds", "Age of the oldest event that a sink has not acknowledged", oldest.clone());
        metrics
    }

    pub(super) fn refused(&self) {
        self.0.refused.inc();
    }

    pub(super) fn shipped(&self, sink: &'static str, events: usize) {
        self.0.shipped.get_or_create(&To(sink)).inc_by(events as u64);
    }

    pub(super) fn failed(&self, sink: &'static str) {
        self.0.failures.get_or_create(&To(sink)).inc();
    }

    pub(super) fn oldest(&self, sink: &'static str, seconds: f64) {
        self.0.oldest.get_or_create(&To(sink)).set(seconds);
    }

    /// Takes over what the spool has counted since `before`.
    pub(super) fn spool(&self, before: Figures, now: Figures) {
        self.0.events.inc_by(now.records - before.records);
        self.0.lost.inc_by(now.lost - before.lost);
        self.0.syncs.inc_by(now.groups - before.groups);
        self.0.bytes.set(i64::try_from(now.bytes).unwrap_or(i64::MAX));
    }
}
