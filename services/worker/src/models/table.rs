//! What there is at one moment: models by name and version. A table never changes; a new one takes its place.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
};

use super::{
    model::{Model, State},
    plan::Key,
};

/// The longest name that an error message repeats, in characters.
const SHOWN: usize = 64;

/// Every model version, whatever its state.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    models: HashMap<ModelName, BTreeMap<ModelVersion, Arc<Model>>>,
    /// Folders without a version, and what there is to say of them.
    empty: BTreeMap<ModelName, String>,
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
    /// Why it is unavailable; of one that is ready, why its newest files are not what answers.
    pub reason: String,
    /// Which load of it answers (see [`Model::load`]); 0 of one that does not.
    pub load: u64,
}

impl Table {
    /// The same with `model` in its place.
    pub(super) fn with(&self, model: Arc<Model>) -> Self {
        let mut table = self.clone();
        table.models.entry(model.name.clone()).or_default().insert(model.version, model);
        table
    }

    /// The same without a version.
    pub(super) fn without(&self, (name, version): &Key) -> Self {
        let mut table = self.clone();
        if let Some(versions) = table.models.get_mut(name) {
            versions.remove(version);
            if versions.is_empty() {
                table.models.remove(name);
            }
        }
        table
    }

    /// The same with these folders known to be empty.
    pub(super) fn with_empty(&self, empty: BTreeMap<ModelName, String>) -> Self {
        Self { empty, ..self.clone() }
    }

    pub(super) fn get(&self, (name, version): &Key) -> Option<&Arc<Model>> {
        self.models.get(name)?.get(version)
    }

    /// The version asked for; the highest that is ready when `version` is empty (the highest of all when none is).
    pub(super) fn find(&self, name: &str, version: &str) -> Result<&Arc<Model>, ApiError> {
        let missing = |message: String| ApiError::new(ErrorKind::NotFound, message);
        let versions = self.models.get(name).ok_or_else(|| {
            let is_empty = self.empty.contains_key(name);
            missing(format!("model \"{}\" {}", shown(name), if is_empty { "has no version" } else { "does not exist here" }))
        })?;
        if !version.is_empty() {
            let found = ModelVersion::parse(version).and_then(|version| versions.get(&version));
            return found.ok_or_else(|| {
                let known: Vec<_> = versions.keys().map(ToString::to_string).collect();
                missing(format!("model \"{name}\" has no version \"{}\"; it has: {}", shown(version), known.join(", ")))
            });
        }
        let mut falling = versions.values().rev();
        let ready = falling.clone().find(|model| model.is_offered());
        ready.or_else(|| falling.next()).ok_or_else(|| missing(format!("model \"{name}\" has no version")))
    }

    /// The versions of a model, in rising order.
    pub(super) fn versions(&self, name: &str) -> Vec<Arc<Model>> {
        self.models.get(name).into_iter().flat_map(|versions| versions.values().cloned()).collect()
    }

    /// Every model version, by name and version.
    pub(super) fn all(&self) -> Vec<Arc<Model>> {
        let mut models: Vec<_> = self.models.values().flat_map(|versions| versions.values().cloned()).collect();
        models.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        models
    }

    pub(super) fn index(&self) -> Vec<IndexEntry> {
        let line = |model: Arc<Model>| {
            let (state, reason, load) = match model.state() {
                State::Loading => ("LOADING", String::new(), 0),
                State::Ready(_) => ("READY", model.note().unwrap_or_default(), model.load),
                State::Unavailable(reason) => ("UNAVAILABLE", reason.to_owned(), 0),
            };
            IndexEntry { name: model.name.to_string(), version: model.version_text.clone(), state, reason, load }
        };
        let broken = self.empty.iter().map(|(name, reason)| IndexEntry {
            name: name.to_string(),
            version: String::new(),
            state: "UNAVAILABLE",
            reason: reason.clone(),
            load: 0,
        });
        let mut lines: Vec<_> = self.all().into_iter().filter(|model| model.left().is_none()).map(line).chain(broken).collect();
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        lines
    }
}

/// As much of a caller's own word as a message repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
