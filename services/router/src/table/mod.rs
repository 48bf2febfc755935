//! Which endpoints serve which version of which model: a snapshot that calls read without a lock.

mod builder;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Notify, futures::Notified};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
};
use torchmesh_relay::Group;

pub use builder::TableBuilder;

use crate::watching::Watched;

/// What one worker says of one version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The model.
    pub model: ModelName,
    /// The version; none of a model that has no version.
    pub version: Option<ModelVersion>,
    /// Whether it answers calls now.
    pub ready: bool,
    /// Why not, or of one that is ready, why its newest files are not what answers.
    pub reason: String,
    /// Which load of it answers there; 0 where that is not told.
    pub load: u64,
}

/// The endpoints that serve one version.
#[derive(Debug, Clone)]
pub struct Target {
    /// The model's name.
    pub model: ModelName,
    /// The same, for the header that tells the worker.
    pub name: HeaderValue,
    /// The version, for the header that tells the worker.
    pub version: HeaderValue,
    /// At least one endpoint.
    pub group: Arc<Group>,
    /// What is seen of its calls.
    pub watched: Arc<Watched>,
    /// The loads of it that answer, one on each endpoint that tells.
    pub loads: Arc<[u64]>,
}

/// One model, whatever its versions' states.
#[derive(Debug, Default)]
struct Model {
    /// Those that can be called.
    ready: BTreeMap<ModelVersion, Target>,
    /// Everything that some worker lists: whether one of them is ready, and why not.
    listed: BTreeMap<Option<ModelVersion>, (bool, String)>,
}

/// The models that can be called, and everything that workers list. Made by [`TableBuilder`].
#[derive(Debug, Default, Clone)]
pub struct Table {
    models: HashMap<ModelName, Arc<Model>>,
}

impl Table {
    /// The endpoints for a call: of the version it names, or of the highest that is ready.
    ///
    /// Errors: INVALID_ARGUMENT (no model named, or a version that is no number), NOT_FOUND, UNAVAILABLE (listed, but not ready anywhere).
    pub fn route(&self, model: &str, version: &str) -> Result<&Target, ApiError> {
        if model.is_empty() {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                "the model name is empty; put the model's name into field 1 of the request",
            ));
        }
        let asked = match version {
            "" => None,
            text => Some(ModelVersion::parse(text).ok_or_else(|| not_a_version(text))?),
        };
        self.ready(model, asked).ok_or_else(|| self.missing(model, asked))
    }

    /// The endpoints of a version that is ready; of the highest where none is named.
    pub fn ready(&self, model: &str, version: Option<ModelVersion>) -> Option<&Target> {
        let versions = &self.models.get(model)?.ready;
        match version {
            None => versions.values().next_back(),
            Some(version) => versions.get(&version),
        }
    }

    /// Everything that can be called.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.models.values().flat_map(|model| model.ready.values())
    }

    /// Whether any model can be called.
    pub fn is_empty(&self) -> bool {
        self.models.values().all(|model| model.ready.is_empty())
    }

    /// Every version that some worker lists, in order: ready if one of them is, and why not.
    pub fn index(&self) -> Vec<(&ModelName, Option<ModelVersion>, bool, &str)> {
        let mut index = Vec::new();
        for (name, model) in &self.models {
            index.extend(model.listed.iter().map(|(version, (ready, reason))| (name, *version, *ready, reason.as_str())));
        }
        index.sort_by_key(|(name, version, ..)| (*name, *version));
        index
    }

    /// Why a model or version cannot be called.
    pub fn missing(&self, model: &str, version: Option<ModelVersion>) -> ApiError {
        let shown: String = model.chars().take(64).collect();
        let versions: Vec<_> = self.models.get(model).into_iter().flat_map(|model| model.listed.keys().flatten().copied()).collect();
        if versions.is_empty() {
            return ApiError::new(ErrorKind::NotFound, format!("there is no model {shown:?}; RepositoryIndex lists those there are"));
        }
        match version {
            Some(version) if !versions.contains(&version) => {
                let there: Vec<_> = versions.iter().map(ToString::to_string).collect();
                let there = there.join(", ");
                ApiError::new(ErrorKind::NotFound, format!("model {shown:?} has no version {version}; it has {there}"))
            }
            _ => ApiError::new(ErrorKind::Unavailable, format!("model {shown:?} is not ready on any worker; RepositoryIndex says why")),
        }
    }
}

fn not_a_version(text: &str) -> ApiError {
    let shown: String = text.chars().take(32).collect();
    ApiError::new(
        ErrorKind::InvalidArgument,
        format!("the model version {shown:?} is not a whole number such as \"1\"; leave it empty for the newest"),
    )
}

/// The current table.
#[derive(Debug, Default)]
pub struct SharedTable {
    table: ArcSwap<Table>,
    changed: Notify,
}

impl SharedTable {
    /// The table as it is now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Replaces the table.
    pub fn store(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.changed.notify_waiters();
    }

    /// Done when the table is replaced after this is first polled, or enabled.
    pub fn changes(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use torchmesh_api::ids::InstanceId;
    use torchmesh_relay::{Endpoint, Groups, RelaySettings};

    use super::*;
    use crate::watching::Watching;

    fn worker(id: &str, models: &[(&str, u64, bool)]) -> (Arc<Endpoint>, Arc<Vec<Listed>>) {
        let endpoint = Endpoint::new(InstanceId::parse(id).unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)), 1);
        let listed = models.iter().map(|&(model, version, ready)| Listed {
            model: ModelName::parse(model).unwrap(),
            version: ModelVersion::parse(&version.to_string()),
            ready,
            reason: if ready { String::new() } else { "loading".into() },
            load: 0,
        });
        (Arc::new(endpoint), Arc::new(listed.collect()))
    }

    fn built(workers: &[(Arc<Endpoint>, Arc<Vec<Listed>>)]) -> Table {
        let mut builder = TableBuilder::new(Groups::new(RelaySettings::default(), Default::default()), Arc::new(Watching::new(1)));
        for (endpoint, listed) in workers {
            builder.set(endpoint, listed);
        }
        builder.table()
    }

    fn kind(table: &Table, model: &str, version: &str) -> ErrorKind {
        table.route(model, version).unwrap_err().kind
    }

    #[test]
    fn an_empty_version_is_the_highest_that_is_ready() {
        let table = built(&[worker("a", &[("m", 9, true), ("m", 10, true), ("m", 11, false)]), worker("b", &[("m", 9, true)])]);
        assert_eq!(table.route("m", "").unwrap().version, "10");
        assert_eq!(table.route("m", "9").unwrap().group.len(), 2);
    }

    #[test]
    fn what_cannot_be_routed_is_told_apart() {
        let table = built(&[worker("a", &[("m", 1, true), ("slow", 1, false)])]);
        assert_eq!(kind(&table, "", ""), ErrorKind::InvalidArgument);
        assert_eq!(kind(&table, "m", "one"), ErrorKind::InvalidArgument);
        assert_eq!(kind(&table, "other", ""), ErrorKind::NotFound);
        assert_eq!(kind(&table, "m", "2"), ErrorKind::NotFound);
        assert_eq!(kind(&table, "slow", ""), ErrorKind::Unavailable);
        assert!(table.route("m", "2").unwrap_err().message.contains("it has 1"));
    }

    #[test]
    fn a_version_ready_on_one_worker_is_ready() {
        let table = built(&[worker("a", &[("m", 1, false)]), worker("b", &[("m", 1, true)]), worker("c", &[("m", 1, false)])]);
        assert_eq!(table.index(), [(&ModelName::parse("m").unwrap(), ModelVersion::parse("1"), true, "")]);
    }

    #[test]
    fn a_model_without_a_version_is_listed_with_what_there_is_to_say_and_not_routed_to() {
        let (endpoint, _) = worker("a", &[]);
        let folder =
            Listed { model: ModelName::parse("m").unwrap(), version: None, ready: false, reason: "has no version folder".into(), load: 0 };
        let table = built(&[(endpoint, Arc::new(vec![folder]))]);
        assert_eq!(table.index(), [(&ModelName::parse("m").unwrap(), None, false, "has no version folder")]);
        assert_eq!(kind(&table, "m", ""), ErrorKind::NotFound);
    }
}
