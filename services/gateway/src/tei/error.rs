//! Errors in the form of text-embeddings-inference: `{"error", "error_type"}`, with its status codes.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use torchmesh_api::error::{ApiError, ErrorKind};

use crate::form::tell_when_to_retry;

/// Its server's word for a request that holds nothing to work on.
pub(crate) const EMPTY: &str = "Empty";

/// Why a call is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing was sent that could be worked on; names the field.
    Empty(&'static str),
    /// Anything else.
    Api(ApiError),
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Api(ApiError::new(ErrorKind::InvalidArgument, message))
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Empty(field) => {
                let message = format!("{field} is empty; send at least one text that is not");
                (StatusCode::BAD_REQUEST, Json(json!({ "error": message, "error_type": EMPTY }))).into_response()
            }
            Self::Api(error) => render(&error),
        }
    }
}

/// The answer for an error. What its server has no status for keeps ours.
pub fn render(error: &ApiError) -> Response {
    let status = match error.kind {
        ErrorKind::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Internal | ErrorKind::Unimplemented => StatusCode::FAILED_DEPENDENCY,
        kind => kind.http(),
    };
    let mut response = (status, Json(json!({ "error": error.message, "error_type": error_type(error.kind) }))).into_response();
    response.extensions_mut().insert(error.kind);
    tell_when_to_retry(error, response.headers_mut());
    response
}

/// Its server's word for a kind.
pub(crate) fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ResourceExhausted => "Overloaded",
        ErrorKind::Unavailable => "Unhealthy",
        ErrorKind::Internal | ErrorKind::Unimplemented | ErrorKind::DeadlineExceeded | ErrorKind::Cancelled => "Backend",
        ErrorKind::InvalidArgument
        | ErrorKind::TooLarge
        | ErrorKind::Unauthenticated
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound => "Validation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_clients_find_the_status_that_they_know() {
        for (kind, status) in [
            (ErrorKind::InvalidArgument, 422),
            (ErrorKind::ResourceExhausted, 429),
            (ErrorKind::Internal, 424),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::NotFound, 404),
        ] {
            assert_eq!(render(&ApiError::new(kind, "x")).status(), status);
        }
        assert_eq!(Refusal::Empty("inputs").into_response().status(), 400);
    }
}
