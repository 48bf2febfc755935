//! Why something is refused, and the one place where that becomes a gRPC status.

use std::time::Duration;

use tonic::{Code, Status};
use torchmesh_api::headers::RETRY_PUSHBACK;
use torchmesh_billing::BillingError;

/// Why a call is refused. The texts are for the caller: they name the field and the remedy, and nothing of the inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is wrong.
    Invalid(String),
    /// Nobody is known to be asking.
    Unknown(&'static str),
    /// Whoever asks may not do it.
    Denied(String),
    /// It does not exist, or not for whoever asks.
    Absent(String),
    /// The name is taken.
    Exists(String),
    /// The state of things does not allow it.
    State(String),
    /// Somebody else has changed it since it was read.
    Stale(String),
    /// Too often; again after this time.
    TooOften(Duration),
    /// The database cannot be reached.
    Away,
    /// Somebody else who is needed for it does not answer.
    Elsewhere(&'static str),
    /// A fault of ours.
    Fault,
}

/// What can be refused.
pub type Result<T> = std::result::Result<T, Refusal>;

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(message) => Self::invalid_argument(message),
            Refusal::Unknown(message) => Self::unauthenticated(message),
            Refusal::Denied(message) => Self::permission_denied(message),
            Refusal::Absent(message) => Self::not_found(message),
            Refusal::Exists(message) => Self::already_exists(message),
            Refusal::State(message) => Self::failed_precondition(message),
            Refusal::Stale(message) => Self::aborted(message),
            Refusal::TooOften(wait) => later(Code::ResourceExhausted, "too many attempts have failed; try again later", wait),
            Refusal::Away => {
                later(Code::Unavailable, "the database of the accounts cannot be reached; try again", Duration::from_millis(500))
            }
            Refusal::Elsewhere(message) => later(Code::Unavailable, message, Duration::from_secs(1)),
            Refusal::Fault => Self::internal("the accounts have a fault; their log says which"),
        }
    }
}

fn later(code: Code, message: &str, wait: Duration) -> Status {
    let mut status = Status::new(code, message);
    status.metadata_mut().insert(RETRY_PUSHBACK, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into());
    status
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        // What came back is not what our own tables hold: nobody's connection is to blame.
        let fault = matches!(
            error,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) | sqlx::Error::ColumnNotFound(_)
        );
        tracing::warn!(%error, fault, "the database did not do what it was asked");
        if fault { Self::Fault } else { Self::Away }
    }
}

impl From<BillingError> for Refusal {
    fn from(error: BillingError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "what is kept is no JSON of ours");
        Self::Fault
    }
}

/// Whether a row is there already that a unique column allows once.
pub fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
