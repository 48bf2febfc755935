//! What is in a body: the thing itself, a form with a part that is it, or JSON that has it under a name.

use axum::{
    RequestExt as _,
    extract::{DefaultBodyLimit, Multipart, Request, multipart::MultipartError},
    http::header,
};
use serde_json::Value;
use torchmesh_api::error::{ApiError, ErrorKind};

use crate::{
    body,
    tasks::{Content, Input},
};

/// The names under which TorchServe's handlers look, in their order.
const NAMES: [&str; 2] = ["data", "body"];

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

/// Reads a body of up to `max_body` bytes.
///
/// Errors: InvalidArgument, TooLarge, Cancelled.
pub(super) async fn read(request: Request, max_body: usize) -> Result<Input, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let content = if kind.starts_with("multipart/form-data") {
        form(request, max_body).await?
    } else {
        let bytes = body::read(request.into_body(), max_body).await?.into_bytes();
        if bytes.is_empty() {
            return Err(invalid("the body is empty; send what the model takes: a text or a file"));
        }
        if kind.starts_with("application/json") { named(&bytes)? } else { Content::Raw(bytes) }
    };
    Ok(Input { content, options: Value::Null })
}

async fn form(mut request: Request, max_body: usize) -> Result<Content, ApiError> {
    DefaultBodyLimit::max(max_body).apply(&mut request);
    let mut parts: Multipart =
        request.extract().await.map_err(|error: axum::extract::multipart::MultipartRejection| invalid(error.body_text()))?;
    let mut first = None;
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        let wanted = part.name().is_some_and(|name| NAMES.contains(&name));
        let bytes = part.bytes().await.map_err(|error| broken(&error))?;
        if wanted {
            return Ok(Content::Raw(bytes));
        }
        first = first.or(Some(bytes));
    }
    first.map(Content::Raw).ok_or_else(|| invalid("the form has no part; send the text or the file in a part called data"))
}

fn broken(error: &MultipartError) -> ApiError {
    let kind = if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE { ErrorKind::TooLarge } else { ErrorKind::InvalidArgument };
    ApiError::new(kind, format!("the form cannot be read: {}", error.body_text()))
}

/// The text of JSON: a string, or a string under one of the names.
fn named(body: &[u8]) -> Result<Content, ApiError> {
    let json: Value = serde_json::from_slice(body).map_err(|error| invalid(format!("the body cannot be read: {error}")))?;
    let text = match json {
        Value::String(text) => Some(text),
        Value::Object(mut fields) => NAMES.iter().find_map(|&name| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }),
        _ => None,
    };
    let advice = "JSON must be a text, or an object with one in data or body; POST /v1/tasks/{model} takes more than one input";
    text.map(Content::One).ok_or_else(|| invalid(advice))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn content(kind: &str, body: &'static str) -> Result<Content, ApiError> {
        let request = Request::builder().header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap();
        read(request, 200).await.map(|input| input.content)
    }

    #[tokio::test]
    async fn a_body_is_itself_a_part_of_a_form_or_a_field_of_json() {
        assert!(matches!(content("text/plain", "hi").await, Ok(Content::Raw(raw)) if raw == "hi"));
        let form = "--x\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nno\r\n\
                    --x\r\ncontent-disposition: form-data; name=\"data\"; filename=\"a.txt\"\r\n\r\nhi\r\n--x--\r\n";
        assert!(matches!(content("multipart/form-data; boundary=x", form).await, Ok(Content::Raw(raw)) if raw == "hi"));
        assert!(matches!(content("application/json", "{\"data\":\"hi\"}").await, Ok(Content::One(text)) if text == "hi"));
        assert!(matches!(content("application/json", "\"hi\"").await, Ok(Content::One(text)) if text == "hi"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told() {
        let long: &'static str = "x".repeat(300).leak();
        for (kind, body, part) in [
            ("text/plain", "", "empty"),
            ("text/plain", long, "limit"),
            ("application/json", "{\"text\":1}", "data or body"),
            ("application/json", "{", "cannot be read"),
            ("multipart/form-data", "x", "boundary"),
            ("multipart/form-data; boundary=x", "--x--\r\n", "no part"),
            ("multipart/form-data; boundary=x", "--x\r\ncontent-disposition: form-data; name=\"data\"\r\n\r\nhalf", "cannot be read"),
        ] {
            let refused = content(kind, body).await.unwrap_err();
            assert!(refused.message.contains(part), "{kind} {body}: {refused}");
        }
    }
}
