//! The pipelines that are there, each version in its state. Calls read it without a lock.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
};
use torchmesh_pipeline::{Plan, Signature};

/// One version of a pipeline.
#[derive(Debug)]
pub struct Version {
    /// Which pipeline.
    pub name: ModelName,
    /// Which version.
    pub version: ModelVersion,
    /// Its file, as it was read.
    pub text: Result<String, String>,
    /// Another number each time that it becomes ready, anywhere.
    pub load: u64,
    /// How far it is.
    pub state: State,
}

/// How far a version is.
#[derive(Debug, Clone)]
pub enum State {
    /// It is well written, and its models have not been asked yet.
    Loading(Arc<Plan>),
    /// It can be called.
    Ready(Arc<Serving>),
    /// Its models are not there, or do not fit; they are asked again.
    Waiting(Arc<Plan>, String),
    /// It is written wrongly, and stays so until its file changes.
    Wrong(String),
}

/// A version that can be called.
#[derive(Debug)]
pub struct Serving {
    /// What it does.
    pub plan: Arc<Plan>,
    /// What it takes and gives.
    pub signature: Signature,
}

impl Version {
    /// The protocol's word for its state.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Loading(_) => "LOADING",
            State::Ready(_) => "READY",
            State::Waiting(..) | State::Wrong(_) => "UNAVAILABLE",
        }
    }

    /// Why it cannot be called; empty when it can.
    pub fn reason(&self) -> &str {
        match &self.state {
            State::Loading(_) | State::Ready(_) => "",
            State::Waiting(_, reason) | State::Wrong(reason) => reason,
        }
    }
}

/// All versions by name.
pub type Table = BTreeMap<ModelName, BTreeMap<ModelVersion, Arc<Version>>>;

/// The table that is in use.
#[derive(Debug, Default)]
pub struct Registry(ArcSwap<Table>);

impl Registry {
    /// Puts another table in its place.
    pub fn store(&self, table: Table) {
        self.0.store(Arc::new(table));
    }

    /// The table as it is now.
    pub fn table(&self) -> Arc<Table> {
        self.0.load_full()
    }

    /// A version that can be called: the one that is named, or the newest that is ready.
    ///
    /// Errors: NOT_FOUND, and UNAVAILABLE while it is not ready.
    pub fn find(&self, name: &str, version: &str) -> Result<(Arc<Version>, Arc<Serving>), ApiError> {
        let table = self.0.load();
        let missing = |message: String| ApiError::new(ErrorKind::NotFound, message);
        let versions = table.get(name).ok_or_else(|| missing(format!("there is no pipeline {:?} here", shown(name))))?;
        let found = if version.is_empty() {
            let ready = versions.values().rev().find(|version| matches!(version.state, State::Ready(_)));
            ready.or_else(|| versions.values().next_back())
        } else {
            ModelVersion::parse(version).and_then(|version| versions.get(&version))
        };
        let found = found.ok_or_else(|| missing(format!("pipeline {name:?} has no version {:?}", shown(version))))?;
        match &found.state {
            State::Ready(serving) => Ok((Arc::clone(found), Arc::clone(serving))),
            _ => Err(ApiError::new(ErrorKind::Unavailable, format!("pipeline {name:?} version {} is not ready", found.version))),
        }
    }

    /// The versions of a pipeline.
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.0.load().get(name).map(|versions| versions.keys().map(ToString::to_string).collect()).unwrap_or_default()
    }
}

/// As much of a caller's own word as a message repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
