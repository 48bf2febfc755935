//! How attempts ended, for whoever watches.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Delivered,
    Failed,
    /// It failed, and was the last one.
    Dead,
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let word = match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
        };
        EncodeLabelValue::encode(&word, encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Attempts(Family<Labels, Counter>);

impl Attempts {
    /// Registers `torchmesh_accounts_webhook_attempts_total`.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let attempts = Family::default();
        registry.register("torchmesh_accounts_webhook_attempts", "Attempts to send a webhook, by how they ended", Family::clone(&attempts));
        Self(attempts)
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.0.get_or_create(&Labels { outcome }).inc();
    }
}
