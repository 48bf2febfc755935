//! Documents that all replicas agree on: a ConfigMap each, replaced by whoever knows its version.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    KubernetesError,
    client::{ANSWER_WITHIN, Client},
    follow::{Listener, follow},
    objects::{CONFIG_MAPS, Kind, Metadata, Object, Selected, or_none},
};
use crate::agreed::Versioned;

/// What Kubernetes takes in the values of one ConfigMap.
pub const MOST_BYTES: usize = 1 << 20;

/// The key of a document's text.
const TEXT: &str = "text";
/// The annotation with the path of a document, which its name need not tell.
const PATH: &str = "torchmesh/path";
/// The label of everything that one mesh keeps; its value is `discovery.kubernetes.prefix`.
const STORE: &str = "torchmesh/store";
/// The label with what is before the last part of a path.
const FOLDER: &str = "torchmesh/folder";

/// `ConfigMap`; what is not read is not named.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigMap {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) data: BTreeMap<String, String>,
}

impl Object for ConfigMap {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl ConfigMap {
    /// It is the revision of what the API server keeps it in, and so a number, which is other after each change.
    pub(super) fn version(&self) -> Result<u64, KubernetesError> {
        let version = &self.metadata.resource_version;
        let why = || KubernetesError::Garbage { why: format!("the resourceVersion {version:?} is not a number") };
        version.parse().ok().filter(|version| *version > 0).ok_or_else(why)
    }

    pub(super) fn checked(self, path: &str) -> Result<Self, KubernetesError> {
        let is_it = self.metadata.annotations.get(PATH).is_some_and(|its| its == path);
        if is_it { Ok(self) } else { Err(self.foreign(path, "its annotation torchmesh/path says otherwise")) }
    }

    fn document(mut self, path: &str) -> Result<Versioned, KubernetesError> {
        let version = self.version()?;
        match self.data.remove(TEXT) {
            Some(text) => Ok(Versioned { version, text }),
            None => Err(self.foreign(path, "it has no key \"text\"")),
        }
    }

    fn foreign(self, path: &str, why: &'static str) -> KubernetesError {
        KubernetesError::Foreign { name: self.metadata.name, path: path.to_owned(), why }
    }
}

impl Client {
    /// The document at `path`.
    pub async fn document(&self, path: &str) -> Result<Option<Versioned>, KubernetesError> {
        self.config_map(path).await?.map(|map| map.document(path)).transpose()
    }

    /// The documents right below `folder`, with the last part of their paths, in order.
    pub async fn documents(&self, folder: &str) -> Result<Vec<(String, Versioned)>, KubernetesError> {
        let selector = format!("{STORE}={},{FOLDER}={}", self.settings.prefix, folder.replace('/', "."));
        let list = self.list::<ConfigMap>(&Selected::labelled(&CONFIG_MAPS, selector)).await?;
        let mut found = Vec::new();
        for map in list.items {
            let path = map.metadata.annotations.get(PATH).cloned().unwrap_or_default();
            if let Some(name) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                found.push((name.to_owned(), map.document(&path)?));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    /// Puts `text` in the place of `version` (0: where there is no document). False: somebody was faster, and nothing has changed.
    ///
    /// Errors: among others [`KubernetesError::TooLarge`], of a `text` that has more than [`MOST_BYTES`].
    pub async fn swap(&self, path: &str, version: u64, text: &str) -> Result<bool, KubernetesError> {
        if text.len() > MOST_BYTES {
            return Err(KubernetesError::TooLarge { path: path.to_owned(), bytes: text.len() });
        }
        self.put_config_map(path, version, &json!({ TEXT: text })).await
    }

    /// Tells of the document at `path` as it is, and then whenever it is different, for as long as this is polled. While the API server is away nothing is told.
    pub async fn follow(&self, path: &str, tell: impl FnMut(Option<Versioned>)) {
        let selected = Selected::named(&CONFIG_MAPS, &self.name(path));
        follow(self, &selected, &mut Reader { path, has_told: false, last: None, tell }).await;
    }

    pub(super) async fn config_map(&self, path: &str) -> Result<Option<ConfigMap>, KubernetesError> {
        let found = self.get::<ConfigMap>(&CONFIG_MAPS, &self.name(path), ANSWER_WITHIN).await?;
        found.map(|map| map.checked(path)).transpose()
    }

    pub(super) async fn put_config_map(&self, path: &str, version: u64, data: &Value) -> Result<bool, KubernetesError> {
        let version = (version != 0).then(|| version.to_string());
        let mut object = self.object(&CONFIG_MAPS, path, version.as_deref());
        object["data"] = data.clone();
        self.put(&CONFIG_MAPS, &object, ANSWER_WITHIN).await
    }

    /// An object of ours with nothing in it yet, in the place of the one of this version, or where there is none.
    pub(super) fn object(&self, kind: &Kind, path: &str, version: Option<&str>) -> Value {
        let mut labels = json!({ "app.kubernetes.io/managed-by": "torchmesh", STORE: self.settings.prefix });
        if let Some((folder, _)) = path.rsplit_once('/') {
            labels[FOLDER] = json!(folder.replace('/', "."));
        }
        let mut metadata = json!({ "name": self.name(path), "namespace": self.namespace, "labels": labels, "annotations": { PATH: path } });
        if let Some(version) = version {
            metadata["resourceVersion"] = json!(version);
        }
        json!({ "apiVersion": kind.api_version(), "kind": kind.name, "metadata": metadata })
    }
}

/// Reads one document as it changes.
struct Reader<'a, F> {
    path: &'a str,
    has_told: bool,
    /// What was told last.
    last: Option<Versioned>,
    tell: F,
}

impl<F: FnMut(Option<Versioned>)> Reader<'_, F> {
    fn is_now(&mut self, now: Option<Versioned>) {
        if !self.has_told || self.last != now {
            self.has_told = true;
            self.last.clone_from(&now);
            (self.tell)(now);
        }
    }
}

impl<F: FnMut(Option<Versioned>)> Listener for Reader<'_, F> {
    type Object = ConfigMap;

    fn all(&mut self, objects: Vec<ConfigMap>) -> Result<(), KubernetesError> {
        if let Some(map) = objects.into_iter().next() {
            return self.put(map);
        }
        self.is_now(None);
        Ok(())
    }

    fn put(&mut self, map: ConfigMap) -> Result<(), KubernetesError> {
        let document = map.checked(self.path)?.document(self.path)?;
        self.is_now(Some(document));
        Ok(())
    }

    fn removed(&mut self, _: &ConfigMap) {
        self.is_now(None);
    }
}
