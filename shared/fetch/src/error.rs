//! Why a version could not be fetched. The messages are for whoever runs the worker: they name the file and the remedy, and no secret.

use std::io;

use thiserror::Error;

/// Why a version could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The server cannot be reached, breaks off or is overloaded; it may go well later.
    #[error("{place} cannot be read now: {reason}")]
    Unreachable {
        /// Which address, or file of it.
        place: String,
        /// What the network said.
        reason: String,
    },
    /// There is no such thing.
    #[error("{place} does not exist; check the source's url and files")]
    Missing {
        /// Which address, or file of it.
        place: String,
    },
    /// We may not have it.
    #[error("{place} is refused (HTTP status {status}): {remedy}")]
    Refused {
        /// Which address, or file of it.
        place: String,
        /// The status.
        status: u16,
        /// Where credentials come from.
        remedy: &'static str,
    },
    /// The server says something that makes no sense.
    #[error("{place} gives no sensible answer: {reason}")]
    Senseless {
        /// Which address, or file of it.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The source's `files` name nothing that is there.
    #[error("{place} has no file that is wanted ({wanted}); name them in the source's files")]
    Nothing {
        /// Which address.
        place: String,
        /// What was looked for.
        wanted: String,
    },
    /// A file has another content than it was pinned to.
    #[error("{file} is not what {pinned_by} says: its sha256 is {found}, not {expected}; if the new content is wanted, {remedy}")]
    Changed {
        /// The file, with its version.
        file: String,
        /// Who says what it has to be.
        pinned_by: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
        /// How to take the new content.
        remedy: &'static str,
    },
    /// The pins cannot be used.
    #[error("model.lock: {0}; correct it or remove it")]
    Lock(String),
    /// The disk.
    #[error("{what}: {error}")]
    Disk {
        /// What was being done.
        what: String,
        /// What the system said.
        error: io::Error,
    },
}

impl FetchError {
    /// Whether the same request may go well a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn disk(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Disk { what, error }
    }

    pub(crate) fn senseless(place: &str, reason: impl Into<String>) -> Self {
        Self::Senseless { place: place.to_owned(), reason: reason.into() }
    }
}
