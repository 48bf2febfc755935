//! Documents that all routers agree on: the routes, and the rollouts that are under way.
//!
//! A document has a path such as `routes` or `rollouts/sentiment`, a version that is another after each change, and is changed by whoever knows the version that it
//! replaces. It is kept in a folder, for routers on one machine ([`folder`]), in Consul ([`consul`]), or in the objects of Kubernetes ([`kubernetes`]).

mod consul;
#[cfg(test)]
mod contract;
mod folder;
mod kubernetes;
mod settings;

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;
use torchmesh_discovery::{
    agreed::{self, Versioned},
    consul::ConsulError,
    kubernetes::KubernetesError,
};

pub use self::{consul::ConsulStore, folder::FolderStore, kubernetes::KubernetesStore, settings::StoreSettings};

/// A document as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What must be named to replace it.
    pub version: u64,
    /// What it says.
    pub text: String,
}

impl From<Versioned> for Document {
    fn from(Versioned { version, text }: Versioned) -> Self {
        Self { version, text }
    }
}

/// The version of a document that does not exist.
pub const ABSENT: u64 = 0;

/// How many earlier texts of the routes are kept.
pub const HISTORY: usize = 50;

/// A text that was, and when it became what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The text.
    pub text: String,
}

/// What is known of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing yet.
    #[default]
    NotYet,
    /// That it does not exist.
    Absent,
    /// What it says.
    There(Arc<Document>),
}

impl From<Option<Document>> for Known {
    fn from(read: Option<Document>) -> Self {
        read.map_or(Self::Absent, |document| Self::There(Arc::new(document)))
    }
}

/// Why a document could not be read or replaced.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The folder.
    #[error("store.folder: {path}: {why}")]
    Folder {
        /// The file or folder.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// Consul.
    #[error(transparent)]
    Consul(#[from] ConsulError),
    /// Kubernetes.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}

/// Where documents are.
#[derive(Debug, Clone)]
pub enum Store {
    /// In a folder.
    Folder(FolderStore),
    /// In Consul.
    Consul(ConsulStore),
    /// In Kubernetes.
    Kubernetes(KubernetesStore),
}

/// Whether this router is the one that acts for all.
#[derive(Debug, Clone)]
pub enum Lead {
    /// By a locked file.
    Folder(watch::Receiver<bool>),
    /// By a session.
    Consul(agreed::Lead),
    /// By a Lease.
    Kubernetes(agreed::Lead),
}

impl Lead {
    /// At this moment.
    pub fn holds(&self) -> bool {
        match self {
            Self::Folder(held) => *held.borrow(),
            Self::Consul(lead) | Self::Kubernetes(lead) => lead.holds(),
        }
    }
}

impl Store {
    /// The document, now and after each change, watched on the runtime that this is called on for as long as a receiver is there.
    pub fn watch(&self, path: &str) -> watch::Receiver<Known> {
        match self {
            Self::Folder(store) => store.watch(path),
            Self::Consul(store) => store.watch(path),
            Self::Kubernetes(store) => store.watch(path),
        }
    }

    /// The document as it is.
    pub async fn read(&self, path: &str) -> Result<Option<Document>, StoreError> {
        match self {
            Self::Folder(store) => store.read(path).await,
            Self::Consul(store) => store.read(path).await,
            Self::Kubernetes(store) => store.read(path).await,
        }
    }

    /// Every document below a folder, by the last part of its path, in order.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, Document)>, StoreError> {
        match self {
            Self::Folder(store) => store.list(folder).await,
            Self::Consul(store) => store.list(folder).await,
            Self::Kubernetes(store) => store.list(folder).await,
        }
    }

    /// Puts `text` in the place of `version`; false: somebody was faster, and nothing has changed. With `history`, what was is kept too.
    pub async fn swap(&self, path: &str, version: u64, text: &str, history: bool) -> Result<bool, StoreError> {
        match self {
            Self::Folder(store) => store.swap(path, version, text, history).await,
            Self::Consul(store) => store.swap(path, version, text, history).await,
            Self::Kubernetes(store) => store.swap(path, version, text, history).await,
        }
    }

    /// The texts that the document has had, the newest first, at most [`HISTORY`] of them.
    pub async fn history(&self, path: &str) -> Result<Vec<Past>, StoreError> {
        let path = history_of(path);
        let found = match self {
            Self::Folder(store) => store.list(&path).await?,
            Self::Consul(store) => store.list(&path).await?,
            Self::Kubernetes(store) => store.remembered(&path).await?,
        };
        let mut past: Vec<_> = found.into_iter().filter_map(past).collect();
        past.sort_by_key(|past| std::cmp::Reverse(past.at_ms));
        past.truncate(HISTORY);
        Ok(past)
    }

    /// Tries to be the one that acts for all, for as long as the answer is kept; `name` is what others read of it. `until_gone` is dropped when others need not wait for this one
    /// any more, after the answer was dropped.
    pub fn lead(&self, name: &str, until_gone: impl Send + 'static) -> Lead {
        match self {
            Self::Folder(store) => Lead::Folder(store.lead(until_gone)),
            Self::Consul(store) => Lead::Consul(store.lead(name, until_gone)),
            Self::Kubernetes(store) => Lead::Kubernetes(store.lead(name, until_gone)),
        }
    }
}

fn history_of(path: &str) -> String {
    format!("history/{path}")
}

/// The path of a text that becomes what it is now.
fn history_entry(path: &str) -> String {
    format!("{}/{}", history_of(path), entry_now())
}

/// The name of such a text. Zeros in front, so that their order is that of time.
fn entry_now() -> String {
    format!("{:015}", now_ms())
}

fn past((name, document): (String, Document)) -> Option<Past> {
    Some(Past { at_ms: name.parse().ok()?, text: document.text })
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The entries beyond the newest [`HISTORY`] of those that are there.
fn too_many(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.truncate(names.len().saturating_sub(HISTORY));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_too_many() {
        let names: Vec<_> = (0..HISTORY + 2).rev().map(|at| format!("{at:015}")).collect();
        assert_eq!(too_many(names), [format!("{:015}", 0), format!("{:015}", 1)]);
        assert!(too_many(vec!["1".into()]).is_empty());
    }
}
