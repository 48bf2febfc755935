//! `/v2/health/live` and `/v2/health/ready`, and the answer to a path that does not exist.

use axum::{
    Json, Router,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{ServerReadyRequest, ServerReadyResponse},
};
use torchmesh_layers::errors;
use torchmesh_runtime::lifecycle::{Drain, Readiness};

use crate::{caller::Caller, form::Form, mesh::Mesh};

/// Whether calls are taken.
#[derive(Debug, Clone)]
pub struct Health {
    mesh: Mesh,
    readiness: Readiness,
    drain: Drain,
}

impl Health {
    /// That of this process, and of what is behind it.
    pub fn new(mesh: Mesh, readiness: Readiness, drain: Drain) -> Self {
        Self { mesh, readiness, drain }
    }

    /// Whether this process takes calls, and a router behind it has a model to send them to.
    pub async fn is_ready(&self, caller: &Caller) -> bool {
        let serving = self.readiness.is_ready() && !self.drain.is_draining();
        let path = "/inference.GRPCInferenceService/ServerReady";
        let behind: Result<ServerReadyResponse, _> = self.mesh.unary(caller, path, &ServerReadyRequest {}).await;
        serving && behind.is_ok_and(|behind| behind.ready)
    }
}

/// The routes. Live: this process answers. Ready: see [`Health::is_ready`].
pub fn routes(health: Health) -> Router {
    let ready = move |caller: Caller| tell(health, caller);
    Router::new().route("/v2/health/live", get(|| async { Json(json!({ "live": true })) })).route("/v2/health/ready", get(ready))
}

async fn tell(health: Health, caller: Caller) -> Response {
    let ready = health.is_ready(&caller).await;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready }))).into_response()
}

/// A path that is not one of ours.
pub async fn no_such_path(uri: Uri, headers: HeaderMap) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let form = Form::of(&uri, &headers);
    if form == Form::Grpc {
        return errors::grpc(ApiError::new(
            ErrorKind::Unimplemented,
            format!("there is no method {path}; reflection lists those there are"),
        ));
    }
    form.render(&ApiError::new(ErrorKind::NotFound, format!("there is nothing at {path}; GET /docs lists the paths there are")))
}

/// A path of ours, asked in another way than it answers.
pub async fn wrong_method(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let other = if method == Method::POST { "GET" } else { "POST" };
    let message = format!("{} does not answer {method}; use {other}", uri.path());
    let mut response = Form::of(&uri, &headers).render(&ApiError::new(ErrorKind::InvalidArgument, message));
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
