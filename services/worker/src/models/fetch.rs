//! Fetching a version's files, with its progress in the log and in `/metrics`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use torchmesh_fetch::{Shelf, Source, Watch, fetch_blocking};

use super::Model;

/// Brings a version's files to the shelf, and returns when they are there; the error says why they are not.
pub type Fetcher = Arc<dyn Fn(&Source, &Shelf, &Model) -> Result<(), String> + Send + Sync>;

/// How often the log says how far a fetch is.
const REPORTED: Duration = Duration::from_secs(5);

/// Fetches at most `parallel` files of a version at once.
pub fn fetcher(parallel: usize) -> Fetcher {
    Arc::new(move |source: &Source, shelf: &Shelf, model: &Model| {
        let (name, version) = (&model.name, &model.version_text);
        tracing::info!(model = %name, version, source = %source.address, "a model version is being fetched");
        let progress = Progress { model, bytes: AtomicU64::new(0), here: AtomicU64::new(0), said: Mutex::new(Instant::now()) };
        let outcome = fetch_blocking(source, shelf, parallel, &progress).map_err(|error| {
            model.metrics.failed_fetches.inc();
            error.to_string()
        })?;
        if outcome.fetched {
            let bytes: u64 = outcome.locked.files.values().map(|pin| pin.bytes).sum();
            tracing::info!(model = %name, version, files = outcome.locked.files.len(), bytes, "a model version is fetched");
        }
        if let Some(reason) = outcome.unlocked {
            tracing::warn!(model = %name, version, reason, "model.lock cannot be written; the version is pinned for as long as models_cache is kept");
        }
        Ok(())
    })
}

struct Progress<'a> {
    model: &'a Model,
    bytes: AtomicU64,
    here: AtomicU64,
    said: Mutex<Instant>,
}

impl Watch for Progress<'_> {
    fn begins(&self, _files: usize, bytes: u64, here: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.here.store(here, Ordering::Relaxed);
    }

    fn moves(&self, bytes: u64) {
        self.model.metrics.fetched_bytes.inc_by(bytes);
        let here = self.here.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut said = self.said.lock();
        if said.elapsed() >= REPORTED {
            *said = Instant::now();
            let of_bytes = self.bytes.load(Ordering::Relaxed);
            tracing::info!(model = %self.model.name, version = self.model.version_text, bytes = here, of_bytes, "a model version is being fetched");
        }
    }

    fn stumbles(&self, file: &str, reason: &str) {
        tracing::warn!(model = %self.model.name, version = self.model.version_text, file, reason, "a fetch goes on where it broke off");
    }
}
