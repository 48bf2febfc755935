//! A request's body, from the wire to its fields.

use axum::extract::Request;
use http::header;

use super::{Fields, Refused, fields::parse};
use crate::{aside, body};

/// Reads a body of JSON of up to `max_body` bytes, which must say that it is that.
///
/// Errors: InvalidArgument, with the field where one is wrong; TooLarge; Cancelled when the caller stopped in the middle.
pub(crate) async fn read_json<T: Fields + Send + 'static>(request: Request, max_body: usize) -> Result<T, Refused> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !is_json(kind) {
        return Err(Refused::body("the content type must be application/json"));
    }
    read(request, max_body).await
}

/// The same, whatever the body says that it is.
pub(crate) async fn read<T: Fields + Send + 'static>(request: Request, max_body: usize) -> Result<T, Refused> {
    let json = body::read(request.into_body(), max_body).await?.into_bytes();
    aside::run(json.len(), move || parse(&json)).await?
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
