//! How many letters there are, and what becomes of them.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct MailMetrics {
    pub(super) sent: Counter,
    pub(super) refused: Counter,
    pub(super) waiting: Gauge,
    pub(super) oldest: Gauge<f64, AtomicU64>,
}

impl MailMetrics {
    /// Enters them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("torchmesh_accounts_letters_sent", "Letters that a server has taken", metrics.sent.clone());
        registry.register(
            "torchmesh_accounts_letters_refused",
            "Letters that were laid aside: refused for good, or too old",
            metrics.refused.clone(),
        );
        registry.register("torchmesh_accounts_letters_waiting", "Letters that wait to be delivered", metrics.waiting.clone());
        registry.register("torchmesh_accounts_oldest_letter_seconds", "How long the oldest letter has waited", metrics.oldest.clone());
        metrics
    }
}
