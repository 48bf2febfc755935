//! Documents in Kubernetes: a ConfigMap each, and one for the history of each.

use tokio::sync::watch;
use torchmesh_discovery::{
    agreed,
    kubernetes::{Client, KubernetesError, KubernetesSettings, lease},
};

use super::{Document, HISTORY, Known, StoreError, entry_now, history_of};

/// See the module.
#[derive(Debug, Clone)]
pub struct KubernetesStore {
    client: Client,
}

impl KubernetesStore {
    pub(super) fn open(settings: &KubernetesSettings) -> Result<Self, KubernetesError> {
        Ok(Self { client: Client::new(settings)? })
    }

    pub(super) fn watch(&self, path: &str) -> watch::Receiver<Known> {
        let (sender, receiver) = watch::channel(Known::NotYet);
        let (client, path) = (self.client.clone(), path.to_owned());
        tokio::spawn(async move {
            let told = sender.clone();
            tokio::select! {
                () = sender.closed() => {}
                () = client.follow(&path, move |now| drop(told.send_replace(now.map(Document::from).into()))) => {}
            }
        });
        receiver
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Document>, StoreError> {
        Ok(self.client.document(path).await?.map(Document::from))
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<(String, Document)>, StoreError> {
        let found = self.client.documents(folder).await?;
        Ok(found.into_iter().map(|(name, versioned)| (name, versioned.into())).collect())
    }

    pub(super) async fn swap(&self, path: &str, version: u64, text: &str, history: bool) -> Result<bool, StoreError> {
        let swapped = self.client.swap(path, version, text).await?;
        if swapped && history {
            let (store, path, text) = (self.clone(), path.to_owned(), text.to_owned());
            // Whoever asked for the change may go away before it is in the history too.
            let _ = tokio::spawn(async move { store.remember(&path, &text).await }).await;
        }
        Ok(swapped)
    }

    /// The texts of a history by their names, the oldest first.
    pub(super) async fn remembered(&self, path: &str) -> Result<Vec<(String, Document)>, StoreError> {
        let found = self.client.remembered(path).await?;
        Ok(found.into_iter().map(|(name, versioned)| (name, versioned.into())).collect())
    }

    /// Kubernetes changes one object at a time, and the document is the one that counts.
    async fn remember(&self, path: &str, text: &str) {
        if let Err(error) = self.client.remember(&history_of(path), &entry_now(), text, HISTORY).await {
            tracing::warn!(path, %error, "a document was replaced, and its history does not have what it says now");
        }
    }

    /// A pod is known by its name, and elsewhere by where it listens.
    pub(super) fn lead(&self, name: &str, until_gone: impl Send + 'static) -> agreed::Lead {
        let pod = std::env::var("HOSTNAME").ok().filter(|pod| !pod.is_empty());
        lease::lead(self.client.clone(), "leader", pod.as_deref().unwrap_or(name), until_gone)
    }
}
