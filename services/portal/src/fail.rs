//! What a request may come to instead of a page, and the one place where that becomes an answer.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use tonic::{Code, Status};

/// Why there is no page. The status decides what the page of the error says; the detail is shown with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    /// The status of the answer.
    pub status: StatusCode,
    /// What the services said, which is for people to read.
    pub detail: Option<String>,
    /// When it may go better.
    pub retry_after: Option<Duration>,
}

/// What a handler gives.
pub type Answer<T = Response> = Result<T, Fail>;

impl Fail {
    /// With no more to say than the status does.
    pub fn new(status: StatusCode) -> Self {
        Self { status, detail: None, retry_after: None }
    }

    /// There is no such thing, or not for whoever asks.
    pub fn absent() -> Self {
        Self::new(StatusCode::NOT_FOUND)
    }

    /// Something beside us does not answer.
    pub fn away() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Too often; again after this time.
    pub fn too_often(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS) }
    }

    /// With what the services said.
    #[must_use]
    pub fn saying(self, detail: impl Into<String>) -> Self {
        let detail: String = detail.into().chars().take(400).collect();
        Self { detail: Some(detail).filter(|detail| !detail.is_empty()), ..self }
    }

    /// Whether a form can be shown again with it: the request itself is at fault.
    pub fn is_about_the_form(&self) -> bool {
        matches!(self.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT)
    }
}

impl From<Status> for Fail {
    fn from(told: Status) -> Self {
        let status = match told.code() {
            Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => StatusCode::CONFLICT,
            Code::Unauthenticated => StatusCode::UNAUTHORIZED,
            Code::PermissionDenied => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let wait = told.metadata().get(torchmesh_api::headers::RETRY_PUSHBACK);
        let retry_after = wait.and_then(|wait| wait.to_str().ok()?.parse().ok()).map(Duration::from_millis);
        let fail = Self { status, detail: None, retry_after };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Connections and the like: for the log, not for whoever looks.
            tracing::warn!(code = ?told.code(), message = told.message(), "a service did not answer");
            return fail;
        }
        fail.saying(told.message())
    }
}

/// An answer of what the accounts may have switched off; none, where it is.
pub fn where_on<T>(told: Result<T, Status>) -> Answer<Option<T>> {
    match told {
        Ok(told) => Ok(Some(told)),
        // An older service, or one without a price list, a key file and the like.
        Err(status) if matches!(status.code(), Code::Unimplemented | Code::FailedPrecondition) => Ok(None),
        Err(status) => Err(status.into()),
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after
            && let Ok(seconds) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        // The page is made where it is known who asks, and in which language.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_inside_is_not_told() {
        let fail = Fail::from(Status::unavailable("tcp connect error 10.0.0.7:8083"));
        assert_eq!((fail.status, fail.detail), (StatusCode::SERVICE_UNAVAILABLE, None));
        let fail = Fail::from(Status::internal("a stack"));
        assert_eq!((fail.status, fail.detail), (StatusCode::SERVICE_UNAVAILABLE, None));
        assert_eq!(Fail::from(Status::not_found("there is no such member")).status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        let response = Fail::too_often(Duration::from_millis(1)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
