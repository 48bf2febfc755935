//! The rollouts as they are stored, and the routes as they make them.

use serde_json::{Value, json};
use thiserror::Error;
use torchmesh_api::ids::ModelName;

use crate::{
    admin::ROUTES,
    rollout::{
        Rollout,
        weights::{self, EditError},
    },
    routes::read,
    store::{ABSENT, Document, Store, StoreError},
};

/// A rollout, and where it is stored.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The rollout.
    pub rollout: Rollout,
    /// Whether it has ended and the routes say so: from then on they are the operators' again.
    pub settled: bool,
    version: u64,
}

impl Entry {
    /// One that is not stored yet.
    pub fn new(rollout: Rollout) -> Self {
        Self { rollout, settled: false, version: ABSENT }
    }

    fn read(document: &Document) -> Result<Self, String> {
        let stored: Value =
            serde_json::from_str(&document.text).map_err(|error| format!("no rollout can be read from what is stored: {error}"))?;
        let rollout = Rollout::parse(&stored["rollout"].to_string())?;
        Ok(Self { rollout, settled: stored["settled"] == json!(true), version: document.version })
    }

    fn text(&self) -> String {
        let rollout: Value = serde_json::from_str(&self.rollout.store()).unwrap_or_default();
        json!({ "settled": self.settled, "rollout": rollout }).to_string()
    }
}

/// Why a rollout cannot go on.
#[derive(Debug, Error)]
pub enum BookError {
    /// Where it is stored cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model's route does not allow it.
    #[error(transparent)]
    Route(#[from] EditError),
    /// What would come of it is no route; nothing was changed.
    #[error("the routes would be wrong\n{0}")]
    Wrong(String),
}

/// The rollouts of one store.
#[derive(Debug, Clone)]
pub struct Book(Store);

impl Book {
    /// Those in this store.
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// Every rollout that can be read; the log tells of the others.
    pub async fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for (name, document) in self.0.list("rollouts").await? {
            match Entry::read(&document) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::warn!(model = name, error, "a stored rollout is left alone"),
            }
        }
        Ok(entries)
    }

    /// The last rollout of a model.
    pub async fn entry(&self, model: &ModelName) -> Result<Option<Entry>, StoreError> {
        let document = self.0.read(&path(model)).await?;
        Ok(document.and_then(|document| Entry::read(&document).ok()))
    }

    /// Stores it in the place of what it was read from; false: somebody was faster, and nothing has changed.
    pub async fn replace(&self, entry: &mut Entry) -> Result<bool, StoreError> {
        let path = path(&entry.rollout.plan.model);
        if !self.0.swap(&path, entry.version, &entry.text(), false).await? {
            return Ok(false);
        }
        entry.version = self.0.read(&path).await?.map_or(ABSENT, |document| document.version);
        Ok(true)
    }

    /// Stores a new rollout in the place of `ended`, the one that the model had before.
    pub async fn begin(&self, rollout: Rollout, ended: Option<&Entry>) -> Result<Option<Entry>, StoreError> {
        let mut entry = Entry { version: ended.map_or(ABSENT, |ended| ended.version), ..Entry::new(rollout) };
        Ok(self.replace(&mut entry).await?.then_some(entry))
    }

    /// Makes the routes say what the rollout wants, if they do not. False: somebody else has changed them at the same moment, and the next look has to do it.
    pub async fn route(&self, rollout: &Rollout) -> Result<bool, BookError> {
        let document = self.0.read(ROUTES).await?;
        let (text, version) = document.map_or_else(|| (String::new(), ABSENT), |document| (document.text, document.version));
        let wanted = Self::routed(&text, rollout)?;
        if wanted == text {
            return Ok(true);
        }
        let swapped = self.0.swap(ROUTES, version, &wanted, true).await?;
        if swapped {
            tracing::info!(model = %rollout.plan.model, percent = rollout.wanted().percent, "a rollout changed the routes");
        }
        Ok(swapped)
    }

    /// The routes as the rollout wants them.
    pub fn routed(text: &str, rollout: &Rollout) -> Result<String, BookError> {
        let wanted = weights::set(text, &rollout.plan, rollout.wanted())?;
        read::parse(&wanted).map_err(|problems| BookError::Wrong(problems.to_string()))?;
        Ok(wanted)
    }
}

fn path(model: &ModelName) -> String {
    format!("rollouts/{model}")
}
