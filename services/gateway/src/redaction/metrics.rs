//! What is counted of personal data: how much, never what.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::kind::Kind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    action: &'static str,
}

/// `torchmesh_gateway_personal_data_total`.
#[derive(Debug, Clone, Default)]
pub(super) struct RedactionMetrics {
    found: Family<Labels, Counter>,
}

impl RedactionMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let found =
            "Values of personal data that were found in inputs, by kind and by what was done: redacted, or the call refused at the first";
        registry.register("torchmesh_gateway_personal_data", found, metrics.found.clone());
        metrics
    }

    pub(super) fn found(&self, kind: Kind, refused: bool, count: u32) {
        let action = if refused { "refuse" } else { "redact" };
        self.found.get_or_create(&Labels { kind: kind.word(), action }).inc_by(count.into());
    }
}
