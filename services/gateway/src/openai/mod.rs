//! The doors that speak OpenAI's form of HTTP: `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/completions`, `POST /v1/embeddings`,
//! `POST /v1/rerank` and `GET /v1/models`.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod models;
pub(crate) mod rerank;
pub(crate) mod responses;
mod stamp;
mod stream;
mod usage;

use axum::{
    Router,
    extract::{DefaultBodyLimit, rejection::JsonRejection},
    response::Response,
    routing::{get, post},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::ModelName,
};
use torchmesh_layers::call::ServedModel;

pub(crate) use error::names;
pub use error::render;

use crate::mesh::Mesh;

/// The routes; a body may have up to `max_body` bytes.
pub fn routes(mesh: Mesh, max_body: usize) -> Router {
    let chat = post(move |mesh, caller, request| chat::create(mesh, caller, max_body, request));
    let responses = post(move |mesh, caller, request| responses::create(mesh, caller, max_body, request));
    let completions = post(move |mesh, caller, request| completions::create(mesh, caller, max_body, request));
    Router::new()
        .route("/v1/chat/completions", chat)
        .route("/v1/completions", completions)
        .route("/v1/responses", responses)
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/rerank", post(rerank::create))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::show))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(mesh)
}

/// A wrong field, and what to do about it.
type Refusal = (ApiError, Option<&'static str>);

/// Notes which model an answer came from, for the metrics.
fn served(model: &str, mut response: Response) -> Response {
    if let Ok(model) = ModelName::parse(model) {
        response.extensions_mut().insert(ServedModel(model));
    }
    response
}

fn unreadable(rejection: &JsonRejection) -> ApiError {
    let status = rejection.status();
    if status == http::StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(ErrorKind::TooLarge, "the body is over the limit; send fewer or shorter inputs");
    }
    if let JsonRejection::MissingJsonContentType(_) = rejection {
        return ApiError::new(ErrorKind::InvalidArgument, "the content type must be application/json");
    }
    ApiError::new(ErrorKind::InvalidArgument, format!("the body cannot be read: {}", rejection.body_text()))
}
