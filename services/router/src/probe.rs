//! Asks every worker which models it serves, again and again, and keeps the table.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use prost::Message as _;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};
use torchmesh_api::{
    frame,
    ids::{InstanceId, ModelName, ModelVersion},
    inference::{RepositoryIndexRequest, RepositoryIndexResponse},
};
use torchmesh_discovery::Instances;
use torchmesh_relay::{Endpoint, Endpoints, Group, Groups, Relay};
use torchmesh_runtime::lifecycle::Readiness;

use crate::{
    table::{Listed, SharedTable, Table},
    watching::Watching,
};

const PATH: &str = "/inference.GRPCInferenceService/RepositoryIndex";
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A worker that failed fewer probes in a row keeps its models in the table: calls pass it over by themselves, and one slow answer must
/// not empty the table.
const FORGET_AFTER: u32 = 3;

/// What is known of one worker.
#[derive(Debug, Default, Clone)]
struct Known {
    listed: Arc<Vec<Listed>>,
    failures: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Prober {
    endpoints: Endpoints,
    relay: Relay,
    groups: Groups,
    watching: Arc<Watching>,
    table: Arc<SharedTable>,
    interval: Duration,
    known: HashMap<InstanceId, Known>,
}

impl Prober {
    /// Probes by `relay`, which has a lane of its own.
    pub fn new(
        endpoints: Endpoints,
        relay: Relay,
        groups: Groups,
        watching: Arc<Watching>,
        table: Arc<SharedTable>,
        interval: Duration,
    ) -> Self {
        Self { endpoints, relay, groups, watching, table, interval, known: HashMap::new() }
    }

    /// Runs for as long as the process. Readiness follows the table: ready once a model can be called.
    pub async fn run(mut self, mut workers: watch::Receiver<Instances>, readiness: Readiness) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let instances: Vec<_> = workers.borrow_and_update().iter().map(|instance| (instance.id.clone(), instance.addr)).collect();
            let endpoints = self.endpoints.update(&instances);
            let changed = self.probe_all(&endpoints).await;
            if changed {
                self.rebuild(&endpoints);
            }
            readiness.set(!self.table.load().is_empty());
            tokio::select! {
                _ = tick.tick() => {}
                changed = workers.changed() => if changed.is_err() {
                    // The source is gone for good; what is known stays in use.
                    tick.tick().await;
                }
            }
        }
    }

    /// Asks all at once; whether anything is different from before.
    async fn probe_all(&mut self, endpoints: &[Arc<Endpoint>]) -> bool {
        let mut probes = JoinSet::new();
        for endpoint in endpoints {
            let (relay, endpoint) = (self.relay.clone(), Arc::clone(endpoint));
            probes.spawn(async move { (endpoint.id.clone(), probe(&relay, endpoint).await) });
        }
        let mut next = HashMap::with_capacity(endpoints.len());
        let mut changed = false;
        for (id, answer) in probes.join_all().await {
            let before = self.known.remove(&id);
            let now = merge(before.as_ref(), answer);
            if let Some(reason) = lost(before.as_ref(), &now) {
                tracing::warn!(worker = %id, reason, "a worker does not answer");
            }
            changed |= before.is_none_or(|before| before.listed != now.listed);
            next.insert(id, now);
        }
        changed |= !self.known.is_empty();
        self.known = next;
        changed
    }

    fn rebuild(&self, endpoints: &[Arc<Endpoint>]) {
        let listed = |endpoint: &Arc<Endpoint>| {
            let known = self.known.get(&endpoint.id).map(|known| Arc::clone(&known.listed)).unwrap_or_default();
            (Arc::clone(endpoint), known)
        };
        let workers: Vec<_> = endpoints.iter().map(listed).collect();
        let table = Table::build(&workers, &self.groups, &self.watching);
        tracing::info!(workers = workers.len(), versions = table.index.len(), "the table of models changed");
        self.table.store(table);
    }
}

fn merge(before: Option<&Known>, answer: Option<Vec<Listed>>) -> Known {
    let before = before.cloned().unwrap_or_default();
    match answer {
        Some(listed) if listed == *before.listed => Known { listed: before.listed, failures: 0 },
        Some(listed) => Known { listed: Arc::new(listed), failures: 0 },
        None if before.failures + 1 >= FORGET_AFTER => Known { listed: Arc::default(), failures: before.failures + 1 },
        None => Known { listed: before.listed, failures: before.failures + 1 },
    }
}

fn lost(before: Option<&Known>, now: &Known) -> Option<&'static str> {
    let was = before.is_some_and(|before| !before.listed.is_empty());
    (was && now.failures == FORGET_AFTER).then_some("its probes failed three times in a row")
}

/// One worker's models; `None` when it did not answer.
async fn probe(relay: &Relay, endpoint: Arc<Endpoint>) -> Option<Vec<Listed>> {
    let message = frame::encode(&RepositoryIndexRequest::default());
    let answer =
        relay.unary(PATH, HeaderMap::new(), [message], Instant::now() + ANSWER_WITHIN, &Group::single(endpoint)).await.ok()?.message;
    let index = RepositoryIndexResponse::decode(answer).ok()?;
    let mut listed: Vec<_> = index
        .models
        .into_iter()
        .filter_map(|model| {
            // A name or version that we would not take from a caller is not taken from a worker either.
            let name = ModelName::parse(&model.name).ok()?;
            let version = if model.version.is_empty() { None } else { Some(ModelVersion::parse(&model.version)?) };
            Some(Listed { model: name, version, ready: model.state == "READY", reason: model.reason })
        })
        .collect();
    listed.sort_by(|a, b| (&a.model, a.version).cmp(&(&b.model, b.version)));
    Some(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<Listed> {
        let (model, version) = (ModelName::parse("m").unwrap(), ModelVersion::parse("1"));
        vec![Listed { model, version, ready: true, reason: String::new() }]
    }

    #[test]
    fn one_missed_probe_changes_nothing_and_three_forget_the_worker() {
        let mut known = merge(None, Some(listed()));
        for _ in 0..2 {
            known = merge(Some(&known), None);
            assert_eq!(*known.listed, listed());
        }
        let before = known.clone();
        known = merge(Some(&known), None);
        assert!(known.listed.is_empty());
        assert!(lost(Some(&before), &known).is_some());
        assert_eq!(*merge(Some(&known), Some(listed())).listed, listed());
    }
}
