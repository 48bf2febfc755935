//! Asks every worker which models it serves, again and again, and keeps the table.
//!
//! Each worker is asked by a task of its own: one that takes its time to answer holds up nobody else's news.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use prost::Message as _;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::MissedTickBehavior,
};
use torchmesh_api::{
    frame,
    ids::{InstanceId, ModelName, ModelVersion},
    inference::{RepositoryIndexRequest, RepositoryIndexResponse},
};
use torchmesh_discovery::{Instance, Instances, Zone};
use torchmesh_relay::{Endpoint, Endpoints, Group, Place, Relay};

use crate::table::{Listed, SharedTable, TableBuilder};

const PATH: &str = "/inference.GRPCInferenceService/RepositoryIndex";
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The models of a worker that failed fewer probes in a row stay as they are: calls pass it over by themselves, and one slow answer must
/// not take a model away.
const SILENT_AFTER: u32 = 3;
/// Answers that wait to be looked at; whoever asks waits when there are more.
const WAITING: usize = 256;

/// What is known of one worker.
#[derive(Debug, Default, Clone)]
struct Known {
    listed: Arc<Vec<Listed>>,
    failures: u32,
}

/// A worker that is being asked for as long as this is there.
#[derive(Debug)]
struct Asked {
    endpoint: Arc<Endpoint>,
    known: Known,
    task: AbortHandle,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a worker answered; none: it did not.
type News = (Arc<Endpoint>, Option<Vec<Listed>>);

/// See the module.
#[derive(Debug)]
pub struct Prober {
    endpoints: Endpoints,
    relay: Relay,
    builder: TableBuilder,
    table: Arc<SharedTable>,
    interval: Duration,
    zone: Option<Zone>,
    asked: HashMap<InstanceId, Asked>,
}

impl Prober {
    /// Probes by `relay`, which has a lane of its own.
    pub fn new(endpoints: Endpoints, relay: Relay, builder: TableBuilder, table: Arc<SharedTable>, interval: Duration) -> Self {
        Self { endpoints, relay, builder, table, interval, zone: None, asked: HashMap::new() }
    }

    /// Those who are in this zone are near.
    #[must_use]
    pub fn in_zone(self, zone: Option<Zone>) -> Self {
        Self { zone, ..self }
    }

    /// Runs for as long as the process, and says after each change whether a model can be called.
    pub async fn run(mut self, mut workers: watch::Receiver<Instances>, callable: impl Fn(bool)) {
        let (tell, mut news) = mpsc::channel(WAITING);
        let mut tick = tokio::time::interval(self.interval);
        let mut watching = true;
        self.follow(&workers.borrow_and_update(), &tell);
        loop {
            tokio::select! {
                changed = workers.changed(), if watching => {
                    // A source that is gone for good says nothing more; what is known stays in use.
                    watching = changed.is_ok();
                    self.follow(&workers.borrow_and_update(), &tell);
                }
                // The channel stays open: this holds an end of it.
                Some((endpoint, answer)) = news.recv() => self.learn(&endpoint, answer),
                _ = tick.tick() => {}
            }
            if self.builder.has_changed() {
                let table = self.builder.table();
                tracing::info!(workers = self.builder.workers(), versions = table.index().len(), "the table of models changed");
                self.table.store(table);
            }
            callable(!self.table.load().is_empty());
        }
    }

    /// Begins to ask who is new, and forgets who is gone.
    fn follow(&mut self, instances: &Instances, tell: &mpsc::Sender<News>) {
        let placed = |Instance { id, addr, zone }: &Instance| {
            let place = Place { near: zone.is_some() && *zone == self.zone, zone: zone.as_ref().map(Zone::text) };
            (id.clone(), *addr, place)
        };
        let endpoints = self.endpoints.update_placed(instances.iter().map(placed));
        let there: HashSet<_> = endpoints.iter().map(|endpoint| endpoint.id.clone()).collect();
        self.asked.retain(|id, _| there.contains(id));
        self.builder.retain(|id| there.contains(id));
        for endpoint in endpoints {
            let same = self.asked.get(&endpoint.id).is_some_and(|asked| Arc::ptr_eq(&asked.endpoint, &endpoint));
            if !same {
                let task = tokio::spawn(ask(self.relay.clone(), Arc::clone(&endpoint), self.interval, tell.clone())).abort_handle();
                self.asked.insert(endpoint.id.clone(), Asked { endpoint, known: Known::default(), task });
            }
        }
    }

    fn learn(&mut self, endpoint: &Arc<Endpoint>, answer: Option<Vec<Listed>>) {
        // An answer may have been on its way when the worker was forgotten.
        let Some(asked) = self.asked.get_mut(&endpoint.id).filter(|asked| Arc::ptr_eq(&asked.endpoint, endpoint)) else { return };
        let before = std::mem::take(&mut asked.known);
        asked.known = merge(&before, answer);
        if let Some(reason) = lost(&before, &asked.known) {
            tracing::warn!(worker = %endpoint.id, reason, "a worker does not answer");
        }
        self.builder.set(endpoint, &asked.known.listed);
    }
}

async fn ask(relay: Relay, endpoint: Arc<Endpoint>, interval: Duration, tell: mpsc::Sender<News>) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let answer = probe(&relay, Arc::clone(&endpoint)).await;
        if tell.send((Arc::clone(&endpoint), answer)).await.is_err() {
            return;
        }
    }
}

fn merge(before: &Known, answer: Option<Vec<Listed>>) -> Known {
    let failures = before.failures.saturating_add(1);
    match answer {
        Some(listed) if listed == *before.listed => Known { listed: Arc::clone(&before.listed), failures: 0 },
        Some(listed) => Known { listed: Arc::new(listed), failures: 0 },
        None if failures == SILENT_AFTER => Known { listed: Arc::new(before.listed.iter().map(silent).collect()), failures },
        None => Known { listed: Arc::clone(&before.listed), failures },
    }
}

/// A model of a worker that is to be there and does not answer: its callers are to come again, and not to believe that there is no such model.
fn silent(listed: &Listed) -> Listed {
    Listed { ready: false, reason: "its worker does not answer".to_owned(), ..listed.clone() }
}

fn lost(before: &Known, now: &Known) -> Option<&'static str> {
    (!before.listed.is_empty() && now.failures == SILENT_AFTER).then_some("its probes failed three times in a row")
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
            Some(Listed { model: name, version, ready: model.state == "READY", reason: model.reason, load: model.load })
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
        vec![Listed { model, version, ready: true, reason: String::new(), load: 0 }]
    }

    #[test]
    fn one_missed_probe_changes_nothing_and_after_three_nothing_of_the_worker_is_ready() {
        let mut known = merge(&Known::default(), Some(listed()));
        for _ in 0..2 {
            known = merge(&known, None);
            assert_eq!(*known.listed, listed());
        }
        let before = known.clone();
        known = merge(&known, None);
        assert!(lost(&before, &known).is_some());
        for _ in 0..5 {
            assert!(!known.listed[0].ready && known.listed[0].reason.contains("does not answer"), "{known:?}");
            known = merge(&known, None);
        }
        assert_eq!(*merge(&known, Some(listed())).listed, listed());
    }
}
