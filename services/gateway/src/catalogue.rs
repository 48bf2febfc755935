//! What the mesh's models are for: asked of the mesh, and remembered for a moment.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{ModelMetadataRequest, ModelMetadataResponse, RepositoryIndexRequest, RepositoryIndexResponse},
};

use crate::{caller::Caller, identity::grants, mesh::Mesh};

/// How long a description is used: a new version may be for something else.
const REMEMBERED: Duration = Duration::from_secs(5);
/// The most descriptions that are remembered.
const MOST: usize = 1024;
/// The property of a model that says what it is for.
const TASK: &str = "task";

/// A model, as the doors that go by its task see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub model: String,
    /// The version that was asked for; empty where the route is to choose.
    pub version: String,
    /// What it is for, in the manifest's word: `embed`, `classify`, …
    pub task: String,
    /// What else is known of it.
    pub properties: HashMap<String, String>,
}

type Remembered = HashMap<(String, String), (Instant, Arc<Described>)>;

/// See the module. One for each data thread.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The mesh that is asked.
    pub mesh: Mesh,
    remembered: Arc<ArcSwap<Remembered>>,
}

impl Catalogue {
    /// Knows nothing yet.
    pub fn new(mesh: Mesh) -> Self {
        Self { mesh, remembered: Arc::default() }
    }

    /// What a model is for. An empty version is that which the route chooses.
    ///
    /// Errors: the caller may not use the model; what the mesh says of one that is not there.
    pub async fn describe(&self, caller: &Caller, model: &str, version: &str) -> Result<Arc<Described>, ApiError> {
        // What is remembered was told to somebody else, perhaps.
        if let Some(principal) = &caller.principal {
            grants::may_use(principal, model)?;
        }
        let key = (model.to_owned(), version.to_owned());
        if let Some((asked, described)) = self.remembered.load().get(&key)
            && asked.elapsed() < REMEMBERED
        {
            return Ok(Arc::clone(described));
        }
        let question = ModelMetadataRequest { name: key.0.clone(), version: key.1.clone() };
        let mut told: ModelMetadataResponse = self.mesh.unary(caller, "/inference.GRPCInferenceService/ModelMetadata", &question).await?;
        let task = told.properties.remove(TASK).unwrap_or_default();
        let described = Arc::new(Described { model: key.0.clone(), version: key.1.clone(), task, properties: told.properties });
        self.remember(&key, &described);
        Ok(described)
    }

    fn remember(&self, key: &(String, String), described: &Arc<Described>) {
        self.remembered.rcu(|before| {
            let mut now: Remembered = if before.len() < MOST { HashMap::clone(before) } else { HashMap::new() };
            now.insert(key.clone(), (Instant::now(), Arc::clone(described)));
            now
        });
    }

    /// The model that a call means which names none: the only one whose task is one of `tasks`.
    ///
    /// Error: InvalidArgument, when there is none or more than one; the message says which there are and how to name one.
    pub async fn only(&self, caller: &Caller, tasks: &[&str]) -> Result<Arc<Described>, ApiError> {
        let question = RepositoryIndexRequest { ready: true, ..Default::default() };
        let index: RepositoryIndexResponse = self.mesh.unary(caller, "/inference.GRPCInferenceService/RepositoryIndex", &question).await?;
        let mut names: Vec<_> = index.models.into_iter().map(|listed| listed.name).collect();
        names.sort_unstable();
        names.dedup();
        let mut fitting = Vec::new();
        for name in names {
            match self.describe(caller, &name, "").await {
                Ok(described) if tasks.contains(&described.task.as_str()) => fitting.push(described),
                Ok(_) => {}
                // Gone since it was listed.
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unavailable) => {}
                Err(error) => return Err(error),
            }
        }
        choose(fitting, tasks)
    }
}

fn choose(mut fitting: Vec<Arc<Described>>, tasks: &[&str]) -> Result<Arc<Described>, ApiError> {
    let tasks = tasks.join(" or ");
    match fitting.pop() {
        None => {
            Err(ApiError::new(ErrorKind::NotFound, format!("no model of the task {tasks} is ready; GET /v1/models lists those there are")))
        }
        Some(only) if fitting.is_empty() => Ok(only),
        Some(last) => {
            let names: Vec<_> = fitting.iter().chain([&last]).take(20).map(|described| described.model.as_str()).collect();
            let message = format!("several models have the task {tasks}; name one as ?model=NAME: {}", names.join(", "));
            Err(ApiError::new(ErrorKind::InvalidArgument, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(model: &str) -> Arc<Described> {
        let task = "embed".to_owned();
        Arc::new(Described { model: model.to_owned(), version: String::new(), task, properties: HashMap::new() })
    }

    #[test]
    fn only_one_model_of_a_task_needs_no_name() {
        assert_eq!(choose(vec![described("a")], &["embed"]).unwrap().model, "a");
        assert_eq!(choose(vec![], &["embed"]).unwrap_err().kind, ErrorKind::NotFound);
        let refused = choose(vec![described("a"), described("b")], &["embed"]).unwrap_err();
        assert!(refused.message.contains("?model=NAME: a, b"), "{refused}");
    }
}
