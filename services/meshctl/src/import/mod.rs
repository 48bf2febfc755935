//! Models of other servers: what they are in our words, and what of them we have no word for.
//!
//! Reading ([`triton`], [`torchserve`]) is pure: text or an archive in, a [`Description`] out. Nothing is written before all of it has been read.

pub mod description;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod install;
pub mod torchserve;
pub mod triton;

pub use description::{Description, Note, Tensor};
pub(crate) use install::{Content, install};

use thiserror::Error;

/// Why a model cannot be imported. The text names the field and, where there is one, the remedy.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{field}: {reason}")]
pub struct Refused {
    /// The field of the other server's configuration, or the file.
    pub field: String,
    /// What is wrong with it, or why it has no counterpart here.
    pub reason: String,
}

impl Refused {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}
