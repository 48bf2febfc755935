//! What a hop counts beyond its calls.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// `torchmesh_<service>_…_total` of retries, hedges, breakers and prefixes.
#[derive(Debug, Clone, Default)]
pub struct RelayMetrics {
    retries: Counter,
    hedges: Counter,
    hedges_won: Counter,
    breakers_opened: Counter,
    groups_failing: Counter,
    prefix_blocks: Counter,
    prefix_blocks_known: Counter,
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
        add(
            "groups_failing",
            "Times that all instances of one kind of call together began to fail, counted where calls can go elsewhere",
            &metrics.groups_failing,
        );
        add("prefix_blocks", "Blocks of prompts that were sent by prefix", &metrics.prefix_blocks);
        add("prefix_blocks_known", "Those of them that their instance had been sent before", &metrics.prefix_blocks_known);
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

    pub(crate) fn group_fails(&self) {
        self.groups_failing.inc();
    }

    pub(crate) fn prefix(&self, blocks: usize, known: usize) {
        self.prefix_blocks.inc_by(blocks as u64);
        self.prefix_blocks_known.inc_by(known as u64);
    }
}
