//! Documents in Consul: one key each.

use tokio::sync::watch;
use torchmesh_discovery::{
    agreed,
    consul::{Client, ConsulError, ConsulSettings, kv::Followed, lock},
};

use super::{Document, Known, StoreError, history_entry, history_of, too_many};

/// See the module.
#[derive(Debug, Clone)]
pub struct ConsulStore {
    client: Client,
}

impl ConsulStore {
    pub(super) fn open(settings: &ConsulSettings) -> Result<Self, ConsulError> {
        Ok(Self { client: Client::new(settings)? })
    }

    pub(super) fn watch(&self, path: &str) -> watch::Receiver<Known> {
        let (sender, receiver) = watch::channel(Known::NotYet);
        let (client, path) = (self.client.clone(), path.to_owned());
        tokio::spawn(async move {
            let mut followed = Followed::new(client, path);
            loop {
                let now = tokio::select! {
                    () = sender.closed() => return,
                    now = followed.next() => now,
                };
                sender.send_replace(now.map(Document::from).into());
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
        let entry = history.then(|| history_entry(path));
        let swapped = self.client.swap(path, version, text, entry.as_deref()).await?;
        if swapped && history {
            self.forget_oldest(path).await;
        }
        Ok(swapped)
    }

    pub(super) fn lead(&self, name: &str, until_gone: impl Send + 'static) -> agreed::Lead {
        lock::lead(self.client.clone(), "leader".to_owned(), name.to_owned(), until_gone)
    }

    /// What is left over is forgotten after the next change.
    async fn forget_oldest(&self, path: &str) {
        let folder = history_of(path);
        let Ok(found) = self.client.documents(&folder).await else { return };
        for name in too_many(found.into_iter().map(|(name, _)| name).collect()) {
            if let Err(error) = self.client.remove(&format!("{folder}/{name}")).await {
                tracing::warn!(%error, "an old document cannot be removed");
            }
        }
    }
}
