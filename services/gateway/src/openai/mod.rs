//! The doors that speak OpenAI's form of HTTP: `POST /v1/embeddings` and `GET /v1/models`.

mod embeddings;
mod error;
mod models;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};

pub use error::render;

use crate::mesh::Mesh;

/// The routes; a body may have up to `max_body` bytes.
pub fn routes(mesh: Mesh, max_body: usize) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::show))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(mesh)
}
