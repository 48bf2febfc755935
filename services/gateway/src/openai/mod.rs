//! The doors that speak OpenAI's form of HTTP: `POST /v1/embeddings` and `GET /v1/models`.

mod embeddings;
mod error;
mod models;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::header::CONTENT_LENGTH,
    middleware::{Next, from_fn},
    response::Response,
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use torchmesh_api::error::{ApiError, ErrorKind};

pub use error::render;

use crate::mesh::Mesh;

/// The routes; a body may have up to `max_body` bytes.
pub fn routes(mesh: Mesh, max_body: usize) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::show))
        .layer(DefaultBodyLimit::max(max_body))
        .layer(from_fn(move |request, next| refuse_too_large(max_body, request, next)))
        .with_state(mesh)
}

/// A body up to so many times the limit is read to its end and thrown away, since most clients hear nothing before they have said all;
/// with a larger one the answer comes at once, and the connection closes.
const READ_OUT: usize = 4;

/// Refuses a body that announces more than it may have, before any of it takes memory.
async fn refuse_too_large(max_body: usize, request: Request, next: Next) -> Response {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let Some(length) = announced.filter(|&length| length > max_body) else { return next.run(request).await };
    if length / READ_OUT <= max_body {
        let mut body = request.into_body();
        while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
    }
    let message = format!("the body has {length} bytes and the limit is {max_body}; send fewer or shorter inputs");
    render(&ApiError::new(ErrorKind::TooLarge, message), None)
}
