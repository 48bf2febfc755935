//! The limits of the process, kept up to date with their file.

use std::{path::PathBuf, sync::Arc, time::Duration};

use torchmesh_limits::{
    Limiter, Rules,
    fleet::{Fleet, Lane},
};
use torchmesh_runtime::process::{Context, StartError};

use super::{metrics::LimitMetrics, settings::LimitsSettings};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limiter: Arc<Limiter>,
    fleet: Option<Arc<Fleet>>,
    metrics: LimitMetrics,
    assumed_tokens: u64,
    trusted_proxies: usize,
}

/// The limits as one data thread has them.
#[derive(Debug, Clone)]
pub struct Lanes {
    limits: Limits,
    /// The thread's own way to the fleet.
    pub lane: Option<Lane>,
}

impl Limits {
    /// Reads the file and begins to watch it; nothing when there is none. A change that is wrong is reported in the log, and the last good limits stay.
    pub fn open(settings: &LimitsSettings, context: &Context) -> Result<Option<Self>, StartError> {
        let Some(path) = &settings.file else { return Ok(None) };
        let rules = Rules::open(path).map_err(|error| format!("limits_file: {error}"))?;
        let fleet = settings.redis.clone().map(Fleet::new);
        let prefix = settings.redis.as_ref().map_or("", |redis| &redis.prefix);
        let limiter = Arc::new(Limiter::new(rules, settings.max_counts, prefix));
        let metrics = context.metrics.register(LimitMetrics::register);
        let (assumed_tokens, trusted_proxies) = (settings.assumed_tokens, settings.trusted_proxies);
        let limits = Self(Arc::new(Inner { limiter, fleet: fleet.map(Arc::new), metrics, assumed_tokens, trusted_proxies }));
        context.control.spawn(limits.clone().watch(path.clone()));
        Ok(Some(limits))
    }

    async fn watch(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = std::fs::read(&path).unwrap_or_default();
        loop {
            tick.tick().await;
            self.0.metrics.note(self.0.limiter.counts(), self.0.fleet.as_deref());
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if bytes == last {
                continue;
            }
            last = bytes;
            match Rules::open(&path) {
                Ok(rules) => {
                    tracing::info!(limits = rules.limits.len(), prices = rules.prices.len(), "the limits file changed");
                    self.0.limiter.replace(rules);
                }
                Err(error) => tracing::error!(error, "the limits file is wrong; the last good limits stay in use"),
            }
        }
    }

    /// One data thread's; on its runtime.
    pub fn on_this_thread(&self) -> Lanes {
        Lanes { limits: self.clone(), lane: self.0.fleet.clone().map(Lane::start) }
    }
}

impl Lanes {
    /// What decides.
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limits.0.limiter
    }

    /// What refusals are counted by.
    pub(super) fn metrics(&self) -> &LimitMetrics {
        &self.limits.0.metrics
    }

    /// How many tokens a call is thought to write that does not say.
    pub fn assumed_tokens(&self) -> u64 {
        self.limits.0.assumed_tokens
    }

    /// How many proxies add addresses that are believed.
    pub fn trusted_proxies(&self) -> usize {
        self.limits.0.trusted_proxies
    }
}
