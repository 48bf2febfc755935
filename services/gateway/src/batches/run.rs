//! Runs batches: looks for those that nobody runs, and takes each from where it was to its end.

mod one;
mod write;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use torchmesh_api::ids::TenantId;
use torchmesh_runtime::process::Context;

use super::{Batches, metrics::BatchMetrics, shelf::Lock};
use crate::{identity::Identity, stack::Within};

/// How often the folder is looked at for batches whose gateway is gone.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what is old is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Whatever runs batches has. Cheap to clone.
#[derive(Clone)]
struct Runner {
    batches: Batches,
    identity: Identity,
    stack: Within,
    places: Arc<Semaphore>,
    metrics: BatchMetrics,
    /// The batches that this process runs.
    mine: Arc<Mutex<HashSet<String>>>,
}

/// Begins to run batches, until the drain: what is not done by then goes on from there, in whichever gateway finds it.
pub fn start(batches: Batches, identity: Identity, stack: Within, context: &Context) {
    let metrics = context.metrics.register(BatchMetrics::register);
    let places = Arc::new(Semaphore::new(batches.0.settings.at_once));
    let runner = Runner { batches, identity, stack, places, metrics, mine: Arc::default() };
    let drain = context.drain.clone();
    context.control.spawn(async move {
        tokio::select! {
            () = drain.draining() => {}
            () = runner.look() => {}
        }
    });
}

impl Runner {
    async fn look(self) {
        let mut running = tokio::task::JoinSet::new();
        let (mut tick, mut sweep) = (tokio::time::interval(LOOK_EVERY), tokio::time::interval(SWEEP_EVERY));
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.batches.0.news.notified() => {}
                _ = sweep.tick() => {
                    let (shelf, keep) = (self.batches.0.shelf.clone(), self.batches.0.settings.keep);
                    Self::note("sweep", blocking(move || shelf.sweep(keep)).await);
                }
                Some(_) = running.join_next() => {}
            }
            let this = self.clone();
            for (tenant, id, lock) in Self::note("look for", blocking(move || this.find()).await).unwrap_or_default() {
                let this = self.clone();
                running.spawn(async move {
                    let _running = this.metrics.running();
                    let ended = this.run(&tenant, &id).await;
                    Self::note("run", ended);
                    drop(lock);
                    this.mine().remove(&id);
                });
            }
        }
    }

    /// The batches that are to be run and that no process runs; from here on this one does.
    fn find(&self) -> std::io::Result<Vec<(TenantId, String, Lock)>> {
        let shelf = &self.batches.0.shelf;
        let mut found = Vec::new();
        for tenant in shelf.tenants()? {
            for id in shelf.open_batches(&tenant)? {
                if self.mine().contains(&id) {
                    continue;
                }
                if let Some(lock) = shelf.lock(&tenant, &id)? {
                    self.mine().insert(id.clone());
                    found.push((tenant.clone(), id, lock));
                }
            }
        }
        Ok(found)
    }

    fn mine(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(what: &str, result: std::io::Result<T>) -> Option<T> {
        result.map_err(|error| tracing::error!(%error, "batches: it was tried in vain to {what} batches; it is tried again")).ok()
    }
}

/// Work on files, beside the control runtime's own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
