//! What is counted of callers: never who they are.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// `torchmesh_gateway_…_total` of credentials and issuers.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityMetrics {
    refused: Family<Refusal, Counter>,
    reads: Family<Read, Counter>,
    follows: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    credential: &'static str,
    why: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Read {
    issuer: String,
    outcome: &'static str,
}

impl IdentityMetrics {
    /// Registers the metrics.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let refused = "Calls that were refused for what they showed: nothing, a key, a token or a certificate";
        registry.register("torchmesh_gateway_refused_credentials", refused, metrics.refused.clone());
        let reads = "Times that an issuer's keys were read, or could not be";
        registry.register("torchmesh_gateway_issuer_key_reads", reads, metrics.reads.clone());
        let follows = "1 while the accounts are followed; while they are not, those who were known stay so";
        registry.register("torchmesh_gateway_follows_accounts", follows, metrics.follows.clone());
        metrics
    }

    /// Whether the accounts are followed.
    pub(super) fn follows(&self, follows: bool) {
        self.follows.set(follows.into());
    }

    /// Whoever showed this is not known.
    pub(super) fn unknown(&self, credential: &'static str) {
        self.refused.get_or_create(&Refusal { credential, why: "unknown" }).inc();
    }

    /// Whoever showed this may not do what they ask.
    pub(super) fn lacking(&self, credential: &'static str) {
        self.refused.get_or_create(&Refusal { credential, why: "scope" }).inc();
    }

    /// What the tenant of whoever showed this has paid for is used up.
    pub(super) fn stopped(&self, credential: &'static str) {
        self.refused.get_or_create(&Refusal { credential, why: "stopped" }).inc();
    }

    /// An issuer's keys were read, or not; there are as many issuers as the settings have.
    pub(super) fn read(&self, issuer: &str, good: bool) {
        let outcome = if good { "ok" } else { "failed" };
        self.reads.get_or_create(&Read { issuer: issuer.to_owned(), outcome }).inc();
    }
}
