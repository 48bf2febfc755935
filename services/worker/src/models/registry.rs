//! The models by name and version.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
};

use super::{
    Found, LoadContext,
    load::start,
    model::{Model, State},
};
use crate::{admission::Queue, metrics::WorkerMetrics};

/// The longest name that an error message repeats, in characters.
const SHOWN: usize = 64;

/// Every model of the repository, whatever its state. What is in it does not change while the worker runs.
#[derive(Debug, Default)]
pub struct Registry {
    models: HashMap<ModelName, Entry>,
    queues: Vec<Arc<Queue>>,
}

#[derive(Debug, Default)]
struct Entry {
    versions: BTreeMap<ModelVersion, Arc<Model>>,
    /// Why there is no version to load.
    broken: Option<String>,
}

/// A line of the repository index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexEntry {
    /// The model's name.
    pub name: String,
    /// The version; empty when the model has none.
    pub version: String,
    /// `READY`, `LOADING` or `UNAVAILABLE`.
    pub state: &'static str,
    /// Why it is unavailable.
    pub reason: String,
}

impl Registry {
    /// Begins to load everything that was found, and returns at once. A model that cannot be loaded does not stop the others.
    pub fn load(found: Vec<Found>, metrics: &WorkerMetrics, context: &LoadContext) -> io::Result<Self> {
        let mut registry = Self::default();
        let mut begun = Vec::new();
        for Found { name, manifest, versions } in found {
            let mut entry = Entry::default();
            if versions.is_empty() {
                entry.broken = Some(format!("{name} has no version folder; make one that is named by a whole number, such as {name}/1"));
            }
            for version in versions {
                let series = metrics.model(name.as_str(), &version.version.to_string());
                let model = Arc::new(Model::new(name.clone(), version.version, series));
                match &manifest {
                    Ok(manifest) => begun.push((Arc::clone(&model), Arc::clone(manifest), version.folder)),
                    Err(reason) => model.set_failed(reason.clone()),
                }
                entry.versions.insert(version.version, model);
            }
            registry.models.insert(name, entry);
        }
        for (model, manifest, folder) in begun {
            registry.queues.push(start(model, manifest, &folder, context.clone())?);
        }
        Ok(registry)
    }

    /// The version asked for; the highest that is ready when `version` is empty (the highest of all when none is).
    pub fn find(&self, name: &str, version: &str) -> Result<&Arc<Model>, ApiError> {
        let missing = |message: String| ApiError::new(ErrorKind::NotFound, message);
        let entry = self.models.get(name).ok_or_else(|| missing(format!("model \"{}\" does not exist here", shown(name))))?;
        if !version.is_empty() {
            let found = ModelVersion::parse(version).and_then(|version| entry.versions.get(&version));
            return found.ok_or_else(|| {
                let known: Vec<_> = entry.versions.keys().map(ToString::to_string).collect();
                missing(format!("model \"{name}\" has no version \"{}\"; it has: {}", shown(version), known.join(", ")))
            });
        }
        let mut falling = entry.versions.values().rev();
        let ready = falling.clone().find(|model| matches!(model.state(), State::Ready(_)));
        ready.or_else(|| falling.next()).ok_or_else(|| missing(format!("model \"{name}\" has no version")))
    }

    /// The versions of a model, in rising order.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.models.get(name).into_iter().flat_map(|entry| entry.versions.keys().map(ToString::to_string)).collect()
    }

    /// Every model version, by name and version.
    pub fn all(&self) -> Vec<&Arc<Model>> {
        let mut models: Vec<_> = self.models.values().flat_map(|entry| entry.versions.values()).collect();
        models.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        models
    }

    /// The repository index.
    pub fn index(&self) -> Vec<IndexEntry> {
        let line = |model: &Arc<Model>| {
            let (state, reason) = match model.state() {
                State::Loading => ("LOADING", ""),
                State::Ready(_) => ("READY", ""),
                State::Unavailable(reason) => ("UNAVAILABLE", reason),
            };
            IndexEntry { name: model.name.to_string(), version: model.version_text.clone(), state, reason: reason.to_owned() }
        };
        let broken = self.models.iter().filter_map(|(name, entry)| {
            let reason = entry.broken.clone()?;
            Some(IndexEntry { name: name.to_string(), version: String::new(), state: "UNAVAILABLE", reason })
        });
        let mut lines: Vec<_> = self.all().into_iter().map(line).chain(broken).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }

    /// Whether the worker wants calls: no version is still loading, and at least one answers.
    ///
    /// A broken model does not keep the others from being served, and a worker that would still have to say "loading" for some
    /// of its models is not sent calls for them.
    pub fn is_ready(&self) -> bool {
        let mut one = false;
        for model in self.models.values().flat_map(|entry| entry.versions.values()) {
            match model.state() {
                State::Loading => return false,
                State::Ready(_) => one = true,
                State::Unavailable(_) => {}
            }
        }
        one
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let reason = ApiError::new(ErrorKind::Unavailable, "the worker is shutting down");
        self.queues.iter().for_each(|queue| queue.close(&reason));
    }
}

/// As much of a caller's own word as a message repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
