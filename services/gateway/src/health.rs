//! `/v2/health/live` and `/v2/health/ready`, and the answer to a path that does not exist.

use axum::{
    Extension, Json, Router,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{ServerReadyRequest, ServerReadyResponse},
};
use torchmesh_layers::{
    call::CallContext,
    errors::{self, Door},
};
use torchmesh_runtime::lifecycle::{Drain, Readiness};

use crate::{mesh::Mesh, openai};

/// The routes. Live: this process answers. Ready: it takes calls, and a router behind it has a model to send them to.
pub fn routes(mesh: Mesh, readiness: Readiness, drain: Drain) -> Router {
    let ready = move |Extension(call): Extension<CallContext>| is_ready(mesh, readiness, drain, call);
    Router::new().route("/v2/health/live", get(|| async { Json(json!({ "live": true })) })).route("/v2/health/ready", get(ready))
}

async fn is_ready(mesh: Mesh, readiness: Readiness, drain: Drain, call: CallContext) -> Response {
    let serving = readiness.is_ready() && !drain.is_draining();
    let behind: Result<ServerReadyResponse, _> =
        mesh.unary(&call, "/inference.GRPCInferenceService/ServerReady", &ServerReadyRequest {}).await;
    let ready = serving && behind.is_ok_and(|behind| behind.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready }))).into_response()
}

/// A path that is not one of ours.
pub async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    if Door::of(&headers) == Door::Grpc {
        return errors::grpc(ApiError::new(
            ErrorKind::Unimplemented,
            format!("there is no method {path}; reflection lists those there are"),
        ));
    }
    let message = format!("there is nothing at {path}; there are /v1/embeddings, /v1/models, /v2/health/live, /v2/health/ready and gRPC");
    openai::render(&ApiError::new(ErrorKind::NotFound, message), None)
}

/// A path of ours, asked in another way than it answers.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let other = if method == Method::POST { "GET" } else { "POST" };
    let message = format!("{} does not answer {method}; use {other}", uri.path());
    let mut response = openai::render(&ApiError::new(ErrorKind::InvalidArgument, message), None);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
