//! `/v2`: the Open Inference Protocol over REST, with the binary tensor extension, as `tritonclient.http` and KServe speak it.
//!
//! JSON and binary tensors become one gRPC message ([`request`]); the tensors of a binary body go on as the memory that they arrived in.

mod assemble;
mod classification;
pub(crate) mod datatype;
mod describe;
mod elements;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod generate;
mod infer;
pub(crate) mod parameters;
pub(crate) mod reflect;
pub(crate) mod repository;
pub(crate) mod request;
mod response;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use torchmesh_api::error::ApiError;

use crate::{form::tell_when_to_retry, mesh::Mesh};

/// The routes, health excepted; a body may have up to `max_body` bytes.
pub fn routes(mesh: Mesh, max_body: usize) -> Router {
    let infer = post(move |mesh, caller, path, request| infer::answer(mesh, caller, path, max_body, request));
    let generate = post(move |mesh, caller, path, request| generate::whole(mesh, caller, path, max_body, request));
    let generate_stream = post(move |mesh, caller, path, request| generate::stream(mesh, caller, path, max_body, request));
    Router::new()
        .route("/v2", get(describe::server))
        .route("/v2/models/stats", get(describe::all_statistics))
        .route("/v2/models/{model}", get(describe::model))
        .route("/v2/models/{model}/versions/{version}", get(describe::model))
        .route("/v2/models/{model}/ready", get(describe::ready))
        .route("/v2/models/{model}/versions/{version}/ready", get(describe::ready))
        .route("/v2/models/{model}/config", get(describe::config))
        .route("/v2/models/{model}/versions/{version}/config", get(describe::config))
        .route("/v2/models/{model}/stats", get(describe::statistics))
        .route("/v2/models/{model}/versions/{version}/stats", get(describe::statistics))
        .route("/v2/models/{model}/infer", infer.clone())
        .route("/v2/models/{model}/versions/{version}/infer", infer)
        .route("/v2/models/{model}/generate", generate.clone())
        .route("/v2/models/{model}/versions/{version}/generate", generate)
        .route("/v2/models/{model}/generate_stream", generate_stream.clone())
        .route("/v2/models/{model}/versions/{version}/generate_stream", generate_stream)
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route("/v2/repository/models/{model}/unload", post(repository::unload))
        .with_state(mesh)
}

/// A model, and the version where the path names one.
#[derive(Debug, serde::Deserialize)]
struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

/// An error in the protocol's form: `{"error": "…"}`.
pub fn render(error: &ApiError) -> Response {
    let mut response = (error.kind.http(), Json(json!({ "error": error.message }))).into_response();
    response.extensions_mut().insert(error.kind);
    tell_when_to_retry(error, response.headers_mut());
    response
}
