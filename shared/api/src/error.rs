//! One set of error kinds, mapped to gRPC and HTTP in one place.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use thiserror::Error;
use tonic::{Code, Status};

use crate::headers;

/// What went wrong, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong whoever sends it and however often.
    InvalidArgument,
    /// The message or body is over its limit.
    TooLarge,
    /// No key, or a key that is not valid.
    Unauthenticated,
    /// The key is valid and may not do this.
    PermissionDenied,
    /// The model, the version or the path does not exist.
    NotFound,
    /// What was asked exists and this model or server does not do it.
    Unimplemented,
    /// A queue, a limit or a quota is full; the same call may pass later.
    ResourceExhausted,
    /// No instance can answer now; the same call may pass on another or later.
    Unavailable,
    /// The caller's time ran out.
    DeadlineExceeded,
    /// The caller left.
    Cancelled,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// The gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::Unimplemented => Code::Unimplemented,
            Self::TooLarge | Self::ResourceExhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Internal => Code::Internal,
        }
    }

    /// The HTTP status.
    pub fn http(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            // The status that proxies log for a client that hung up; nobody is there to read it.
            Self::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The kind that a gRPC code stands for when it arrives from another service.
    pub fn from_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => Self::InvalidArgument,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::NotFound => Self::NotFound,
            Code::Unimplemented => Self::Unimplemented,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable => Self::Unavailable,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Cancelled => Self::Cancelled,
            Code::Ok | Code::Unknown | Code::AlreadyExists | Code::Aborted | Code::Internal | Code::DataLoss => Self::Internal,
        }
    }
}

/// An error on its way to a caller: the message names the field and the remedy, and says nothing about the inside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// For the caller to read.
    pub message: String,
    /// How long to wait before trying again, where trying again helps.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error without a retry hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None }
    }

    /// Adds a retry hint.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What the trailers of a gRPC answer say: nothing wrong, or what.
    pub fn from_trailers(trailers: &HeaderMap) -> Result<(), Self> {
        match Status::from_header_map(trailers) {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status.into()),
            None => Err(Self::new(ErrorKind::Internal, "an instance ended its answer without a status")),
        }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut status = Self::new(error.kind.code(), error.message);
        if let Some(wait) = error.retry_after {
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            status.metadata_mut().insert(headers::RETRY_PUSHBACK, millis.into());
        }
        status
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        let retry_after = status.metadata().get(headers::RETRY_PUSHBACK);
        let retry_after = retry_after.and_then(|v| v.to_str().ok()?.parse().ok()).map(Duration::from_millis);
        Self { kind: ErrorKind::from_code(status.code()), message: status.message().to_owned(), retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_hint_survives_the_way_to_a_status_and_back() {
        let error = ApiError::new(ErrorKind::ResourceExhausted, "the queue is full").retry_after(Duration::from_millis(40));
        assert_eq!(ApiError::from(Status::from(error.clone())), error);
    }

    #[test]
    fn every_kind_but_too_large_keeps_its_name_across_grpc() {
        for kind in [ErrorKind::InvalidArgument, ErrorKind::NotFound, ErrorKind::Unavailable, ErrorKind::DeadlineExceeded] {
            assert_eq!(ErrorKind::from_code(kind.code()), kind);
        }
    }
}
