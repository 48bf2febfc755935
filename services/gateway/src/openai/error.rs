//! Errors in OpenAI's form: `{"error": {"message", "type", "param", "code"}}`, all four always present.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use torchmesh_api::error::{ApiError, ErrorKind};

use crate::form::tell_when_to_retry;

/// The answer for an error; `param` names the wrong field, where there is one.
pub fn render(error: &ApiError, param: Option<&str>) -> Response {
    let mut response = (error.kind.http(), Json(object(error, param))).into_response();
    response.extensions_mut().insert(error.kind);
    tell_when_to_retry(error, response.headers_mut());
    response
}

/// The error itself, as it also ends a stream that has begun.
pub(super) fn object(error: &ApiError, param: Option<&str>) -> Value {
    let (kind, code) = names(error.kind);
    json!({ "error": { "message": error.message, "type": kind, "param": param, "code": code } })
}

/// OpenAI's `type` and `code`.
pub(crate) fn names(kind: ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::InvalidArgument => ("invalid_request_error", "invalid_value"),
        ErrorKind::TooLarge => ("invalid_request_error", "request_too_large"),
        ErrorKind::Unauthenticated => ("invalid_request_error", "invalid_api_key"),
        ErrorKind::PermissionDenied => ("invalid_request_error", "permission_denied"),
        ErrorKind::NotFound => ("invalid_request_error", "not_found"),
        ErrorKind::Unimplemented => ("invalid_request_error", "unsupported"),
        ErrorKind::ResourceExhausted => ("rate_limit_error", "overloaded"),
        ErrorKind::Unavailable => ("server_error", "unavailable"),
        ErrorKind::DeadlineExceeded => ("server_error", "timeout"),
        ErrorKind::Cancelled => ("server_error", "cancelled"),
        ErrorKind::Internal => ("server_error", "internal"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn all_four_fields_are_there_and_the_wait_is_rounded_up() {
        let error = ApiError::new(ErrorKind::ResourceExhausted, "full").retry_after(Duration::from_millis(1200));
        let response = render(&error, None);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({ "error": { "message": "full", "type": "rate_limit_error", "param": null, "code": "overloaded" } }));
    }
}
