//! What a hop counts beyond its calls.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// `torchmesh_<service>_…_total` of retries, hedges and breakers.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    retries: Counter,
    hedges: Counter,
    hedges_won: Counter,
    breakers_opened: Counter,
}

impl RelayMetrics {
    /// Registers the metrics of `service`.
    pub fn register(registry: &mut Registry, service: &str) -> Self {
        let metrics = Self::default();
        let mut add =
            |name: &str, help: &str, counter: &Counter| registry.register(format!("torchmesh_{service}_{name}"), help, counter.clone());
        add("retries", "Calls that were sent to another instance after a failure", &metrics.retries);
        add("hedges", "Calls that were sent to a second instance because the first was slow", &metrics.hedges);
        add("hedges_won", "Hedges whose second instance answered first", &metrics.hedges_won);
        add("breakers_opened", "Times that an instance was left alone because it failed", &metrics.breakers_opened);
        metrics
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn hedged(&self) {
        self.hedges.inc();
    }

    pub(crate) fn hedge_won(&self) {
        self.hedges_won.inc();
    }

    pub(crate) fn breaker_opened(&self) {
        self.breakers_opened.inc();
    }
}
