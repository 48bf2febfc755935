//! Why a client could not be made.

use std::fmt::Display;

use thiserror::Error;

use crate::BadToken;

/// Why a client could not be made.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// An address that is none.
    #[error("the address {address}: {what}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate or a key that is of no use.
    #[error("{field}: {what}")]
    Certificate {
        /// `ca`, `identity` or `address`.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A key that is none.
    #[error("api_key: {0}")]
    Key(#[from] BadToken),
    /// A credential would go over the network in clear text.
    #[error(
        "{address} is in clear text and not on this machine, so that anybody on the way could read the key; use https://, or say allow_clear_text()"
    )]
    ClearText {
        /// The address.
        address: String,
    },
    /// Nobody answers.
    #[error("{address} cannot be reached: {what}")]
    Unreachable {
        /// Who was asked last.
        address: String,
        /// What came of it.
        what: String,
    },
}

impl ConnectError {
    pub(crate) fn certificate(field: &'static str, what: impl Display) -> Self {
        Self::Certificate { field, what: what.to_string() }
    }
}
