//! The models by name and version, kept up with the repository.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::ModelName,
};

use super::{
    LoadContext,
    keeper::Keeper,
    load,
    model::{Model, State},
    plan::Step,
    repository::{Content, Found, FoundVersion, Repository, Wanted, scan},
    table::{IndexEntry, Table, shown},
};
use crate::{manifest::Manifest, metrics::WorkerMetrics};

/// Every model of the repository, whatever its state.
#[derive(Debug)]
pub struct Registry {
    repository: Repository,
    linger: Duration,
    metrics: WorkerMetrics,
    context: LoadContext,
    table: ArcSwap<Table>,
    keeper: Mutex<Keeper>,
    /// Changes when a version has settled.
    settled: watch::Sender<u64>,
    /// Whether everything that was there at the start has settled.
    begun: AtomicBool,
}

impl Registry {
    /// Begins to load everything in the repository, and returns at once. A model that cannot be loaded does not stop the others.
    ///
    /// A version that is gone from the repository is answered for `linger` more to those who name it, as a router does that has not yet asked again.
    pub fn open(models_dir: &Path, cache: &Path, linger: Duration, metrics: WorkerMetrics, context: LoadContext) -> io::Result<Arc<Self>> {
        let repository = Repository::new(models_dir, cache);
        let found = scan(&repository)?;
        let registry = Arc::new(Self {
            repository,
            linger,
            metrics,
            context,
            table: ArcSwap::default(),
            keeper: Mutex::default(),
            settled: watch::Sender::new(0),
            begun: AtomicBool::new(false),
        });
        // What is there at the start is taken as it is: nobody wants to wait for a second look.
        registry.keeper.lock().look(&found);
        registry.act(&found);
        Ok(registry)
    }

    /// Looks at the repository once more, and begins what has to be done about it. An unreadable repository changes nothing.
    pub fn look(self: &Arc<Self>) {
        match scan(&self.repository) {
            Ok(found) => self.act(&found),
            Err(error) => tracing::warn!(%error, "the model repository cannot be read; what is loaded stays"),
        }
    }

    fn act(self: &Arc<Self>, found: &[Found]) {
        let mut keeper = self.keeper.lock();
        let empty: BTreeMap<_, _> = found.iter().filter_map(|model| Some((model.name.clone(), model.trouble()?))).collect();
        self.table.rcu(|table| table.with_empty(empty.clone()));
        self.let_go();
        let steps = keeper.look(found);
        let again = keeper.due(Instant::now()).into_iter().map(Step::Load);
        for step in steps.into_iter().chain(again) {
            match step {
                Step::Forget(key) => {
                    tracing::info!(model = %key.0, version = %key.1, "a model version is gone from the repository");
                    keeper.forget(&key);
                    if let Some(model) = self.table.load().get(&key) {
                        model.leave();
                    }
                }
                Step::Load((name, version)) => {
                    let versions = found.iter().find(|model| model.name == name).map(|model| model.versions.as_slice());
                    if let Some(found) = versions.unwrap_or_default().iter().find(|found| found.version == version) {
                        self.begin(&mut keeper, &name, found);
                    }
                }
            }
        }
        drop(keeper);
        self.settled();
    }

    /// Drops what has lingered long enough.
    fn let_go(&self) {
        for model in self.all() {
            if model.left().is_some_and(|left| left.elapsed() >= self.linger) {
                tracing::info!(model = %model.name, version = %model.version, "a model version is unloaded");
                self.table.rcu(|table| table.without(&model.key()));
            }
        }
    }

    /// Begins to load a version. It takes its place when it has become ready; until then what served goes on serving.
    fn begin(self: &Arc<Self>, keeper: &mut Keeper, name: &ModelName, found: &FoundVersion) -> Arc<Model> {
        let series = self.metrics.model(name.as_str(), &found.version.to_string());
        let model = Arc::new(Model::new(name.clone(), found.version, series));
        let key = model.key();
        keeper.began(found.stamp, &model);
        if !matches!(found.content, Ok(Content::Elsewhere(_))) {
            keeper.fetched(&key);
        }
        let serves = self.table.load().get(&key).is_some_and(|model| model.is_offered());
        if !serves {
            self.put(&model);
        }
        self.go_on(keeper, &model, found);
        model
    }

    /// Loads a version whose files are there; fetches them first where they are not.
    fn go_on(self: &Arc<Self>, keeper: &Keeper, model: &Arc<Model>, found: &FoundVersion) {
        let started = match found.content.clone() {
            Ok(Content::Here(manifest)) => self.start_load(model, manifest, &found.folder),
            Ok(Content::Elsewhere(wanted)) => self.start_fetch(model, wanted),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = started {
            model.set_failed(reason);
            self.settle(keeper, model);
        }
    }

    fn start_load(self: &Arc<Self>, model: &Arc<Model>, manifest: Arc<Manifest>, folder: &Path) -> Result<(), String> {
        let registry = Arc::downgrade(self);
        let done = move |model: &Arc<Model>| {
            if let Some(registry) = registry.upgrade() {
                registry.settle(&registry.keeper.lock(), model);
                registry.settled();
            }
        };
        let context = self.context.clone();
        load::start(Arc::clone(model), manifest, folder, context, done).map_err(|error| format!("no thread to load it: {error}"))
    }

    fn start_fetch(self: &Arc<Self>, model: &Arc<Model>, wanted: Wanted) -> Result<(), String> {
        let (registry, model, fetch) = (Arc::downgrade(self), Arc::clone(model), Arc::clone(&self.context.fetch));
        let name = format!("fetch-{}", model.name);
        let fetching = thread::Builder::new().name(name).spawn(move || {
            let outcome = fetch(&wanted.source, &wanted.shelf, &model);
            if let Some(registry) = registry.upgrade() {
                registry.fetched(&model, outcome);
                registry.settled();
            }
        });
        fetching.map(drop).map_err(|error| format!("no thread to fetch it: {error}"))
    }

    /// A fetch has ended: the version is loaded from what is there now, or the fetch is tried again later.
    fn fetched(self: &Arc<Self>, model: &Arc<Model>, outcome: Result<(), String>) {
        let found = outcome.and_then(|()| scan(&self.repository).map_err(|error| format!("the model repository cannot be read: {error}")));
        let mut keeper = self.keeper.lock();
        if !keeper.is_newest(model) {
            model.set_placed();
            return;
        }
        let found = found.and_then(|found| {
            let versions = found.into_iter().find(|found| found.name == model.name).map(|found| found.versions).unwrap_or_default();
            let version = versions.into_iter().find(|found| found.version == model.version);
            version.ok_or_else(|| "it left the repository while it was fetched".to_owned())
        });
        match found {
            Ok(found) => {
                keeper.fetched(&model.key());
                keeper.began(found.stamp, model);
                self.go_on(&keeper, model, &found);
            }
            Err(reason) => {
                keeper.retry_later(model.key(), Instant::now());
                model.set_failed(reason);
                self.settle(&keeper, model);
            }
        }
    }

    /// A version has become ready or failed: the table learns of it, unless something newer has begun meanwhile.
    fn settle(&self, keeper: &Keeper, model: &Arc<Model>) {
        if keeper.is_newest(model) {
            self.place(model);
        }
        model.set_placed();
    }

    fn place(&self, model: &Arc<Model>) {
        let table = self.table.load();
        match (model.state(), table.get(&model.key()).filter(|serving| !Arc::ptr_eq(serving, model))) {
            (State::Unavailable(reason), Some(serving)) if serving.is_offered() => {
                serving.set_note(format!("its newest files are not served: {reason}"));
            }
            _ => self.put(model),
        }
    }

    fn put(&self, model: &Arc<Model>) {
        self.table.rcu(|table| table.with(Arc::clone(model)));
    }

    fn settled(&self) {
        self.settled.send_modify(|times| *times += 1);
        (self.context.settled)();
    }

    /// Loads a model's versions that are not loaded as they are in the repository now, and waits for them. What was unloaded by a call is loaded
    /// again.
    ///
    /// Errors: `NotFound` (the repository has no such model), `Unavailable` with every reason (a version could not be loaded; what served before
    /// goes on).
    pub async fn load(self: &Arc<Self>, name: &str) -> Result<(), ApiError> {
        let (registry, wanted) = (Arc::clone(self), name.to_owned());
        let begun = tokio::task::spawn_blocking(move || registry.load_now(&wanted)).await;
        let models = begun.map_err(|_| ApiError::new(ErrorKind::Internal, "the model repository could not be searched"))??;
        let all_settled = |_: &u64| models.iter().all(|model| model.is_placed());
        // The sender lives as long as this registry.
        let _ = self.settled.subscribe().wait_for(all_settled).await;
        let failed = |model: &Arc<Model>| match model.state() {
            State::Unavailable(reason) => Some(format!("version {}: {reason}", model.version)),
            State::Loading | State::Ready(_) => None,
        };
        let failed: Vec<_> = models.iter().filter_map(failed).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(ApiError::new(ErrorKind::Unavailable, format!("model \"{name}\" could not be loaded: {}", failed.join("; "))))
    }

    fn load_now(self: &Arc<Self>, name: &str) -> Result<Vec<Arc<Model>>, ApiError> {
        let found = scan(&self.repository).map_err(|error| {
            tracing::warn!(%error, "the model repository cannot be read");
            ApiError::new(ErrorKind::Internal, "the model repository cannot be read")
        })?;
        let Some(found) = found.into_iter().find(|found| found.name.as_str() == name && !found.versions.is_empty()) else {
            let message = format!("the model repository has no model \"{}\" with a version to load", shown(name));
            return Err(ApiError::new(ErrorKind::NotFound, message));
        };
        let mut keeper = self.keeper.lock();
        let models = found.versions.iter().map(|version| match keeper.take_up(&(found.name.clone(), version.version), version.stamp) {
            Some(same) if !matches!(same.state(), State::Unavailable(_)) => same,
            _ => self.begin(&mut keeper, &found.name, version),
        });
        Ok(models.collect())
    }

    /// Takes a model out of service until [`Registry::load`] is called for it. Calls that have begun are finished; then its memory is given back.
    ///
    /// Errors: `NotFound`.
    pub fn unload(&self, name: &str) -> Result<(), ApiError> {
        let mut keeper = self.keeper.lock();
        let versions = self.table.load().versions(name);
        if versions.is_empty() {
            return Err(ApiError::new(ErrorKind::NotFound, format!("model \"{}\" does not exist here", shown(name))));
        }
        for model in versions {
            keeper.hold(model.key());
            self.put(&Arc::new(Model::unloaded(&model)));
            tracing::info!(model = %model.name, version = %model.version, "a model version is unloaded by a call");
        }
        drop(keeper);
        self.settled();
        Ok(())
    }

    /// The version asked for; the highest that is ready when `version` is empty (the highest of all when none is).
    ///
    /// Whoever holds the answer keeps the model in service, so it is held for one call and no longer.
    pub fn find(&self, name: &str, version: &str) -> Result<Arc<Model>, ApiError> {
        self.table.load().find(name, version).cloned()
    }

    /// The versions of a model, in rising order.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.table.load().versions(name).iter().map(|model| model.version_text.clone()).collect()
    }

    /// Every model version, by name and version.
    pub fn all(&self) -> Vec<Arc<Model>> {
        self.table.load().all()
    }

    /// The repository index.
    pub fn index(&self) -> Vec<IndexEntry> {
        self.table.load().index()
    }

    /// Whether the worker wants calls: what was there at its start has settled, and at least one model answers.
    ///
    /// A broken model does not keep the others from being served, and neither does one that is loaded later. A worker that would still have to say
    /// "loading" for the models it starts with is not sent calls for them.
    pub fn is_ready(&self) -> bool {
        let all = self.all();
        if !self.begun.load(Ordering::Acquire) {
            if all.iter().any(|model| matches!(model.state(), State::Loading)) {
                return false;
            }
            self.begun.store(true, Ordering::Release);
        }
        all.iter().any(|model| model.is_offered())
    }
}
