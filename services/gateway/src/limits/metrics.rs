//! What the limits count.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use torchmesh_limits::{
    fleet::Fleet,
    rule::{Measure, Per, Rule},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        fmt::Write::write_str(encoder, self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    per: Word,
    limit: Word,
}

/// `torchmesh_gateway_limit…`.
#[derive(Debug, Clone, Default)]
pub(super) struct LimitMetrics {
    refusals: Family<Labels, Counter>,
    counts: Gauge,
    redis_links: Gauge,
    gateways: Gauge,
}

impl LimitMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("torchmesh_gateway_limit");
        registry.register(
            "refusals",
            "Calls that a limit refused, by whom it counts apart and by what it counts",
            metrics.refusals.clone(),
        );
        registry.register("counts", "Callers that are remembered, once for each limit that they have", metrics.counts.clone());
        registry.register(
            "redis_links",
            "Connections to Redis that answer; 0 means that this gateway counts by its share",
            metrics.redis_links.clone(),
        );
        registry.register(
            "gateways",
            "Gateways that count together, as far as this one knows: each has its share while Redis is away",
            metrics.gateways.clone(),
        );
        metrics
    }

    pub(super) fn refused(&self, rule: &Rule) {
        let per = match rule.per {
            Per::Key => "key",
            Per::Tenant => "tenant",
            Per::Model => "model",
            Per::Address => "address",
        };
        let limit = match rule.measure {
            Measure::Requests => "requests",
            Measure::Tokens => "tokens",
            Measure::Bytes => "bytes",
            Measure::Concurrent => "concurrent",
            Measure::Money => "budget",
        };
        self.refusals.get_or_create(&Labels { per: Word(per), limit: Word(limit) }).inc();
    }

    pub(super) fn note(&self, counts: usize, fleet: Option<&Fleet>) {
        self.counts.set(i64::try_from(counts).unwrap_or(i64::MAX));
        self.redis_links.set(fleet.map_or(0, Fleet::linked).into());
        self.gateways.set(fleet.map_or(1, Fleet::gateways).into());
    }
}
