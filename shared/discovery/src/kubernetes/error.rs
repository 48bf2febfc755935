//! Why the API server did not do what it was asked.

use std::path::PathBuf;

use thiserror::Error;

use super::documents::MOST_BYTES;

/// See the module.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// There is no cluster around this process.
    #[error("discovery.kubernetes: {what} is not known here, where no pod's environment is; set discovery.kubernetes.{setting}")]
    Outside {
        /// What is missing.
        what: &'static str,
        /// Where to give it.
        setting: &'static str,
    },
    /// No answer.
    #[error("the API server cannot be reached at {address}: {why}")]
    Unreachable {
        /// Its address.
        address: String,
        /// The error, with what is behind it.
        why: String,
    },
    /// 401 or 403.
    #[error(
        "the API server refuses (status {status}): {why}; the service account needs the verb {verb} for {resource} in the namespace {namespace}"
    )]
    Denied {
        /// HTTP's.
        status: u16,
        /// What it says.
        why: String,
        /// The right that is missing, as a Role has it.
        verb: &'static str,
        /// The objects that it is missing for, and their apiGroup.
        resource: String,
        /// Where.
        namespace: String,
    },
    /// What changed since then is no longer known (410): ask for what there is.
    #[error("the API server no longer knows what has changed since")]
    Gone,
    /// Any other status that is not a success.
    #[error("the API server answers with status {status} ({reason}): {why}")]
    Failed {
        /// HTTP's.
        status: u16,
        /// Its word for it, such as `NotFound`.
        reason: String,
        /// What it says.
        why: String,
    },
    /// An answer that is not Kubernetes'.
    #[error("what answers is not a Kubernetes API server: {why}; check discovery.kubernetes.address")]
    Garbage {
        /// What was wrong with it.
        why: String,
    },
    /// An object that has the name of a document, and is none or another one.
    #[error("the ConfigMap {name} is not the document {path}: {why}; remove it, or set another discovery.kubernetes.prefix")]
    Foreign {
        /// Its name.
        name: String,
        /// What it should be.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More than Kubernetes takes in one object.
    #[error("the document {path} has {bytes} bytes, and Kubernetes takes {} (1 MiB) in a ConfigMap: make it shorter", MOST_BYTES)]
    TooLarge {
        /// The document's.
        path: String,
        /// How many it has.
        bytes: usize,
    },
    /// A file of the settings.
    #[error("discovery.kubernetes.{setting}: {}: {why}", path.display())]
    File {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}
