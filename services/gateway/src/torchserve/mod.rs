//! The inference paths of TorchServe: `POST /predictions/{model}[/{version}]`, and `GET /ping`.
//!
//! Its default handlers decide what comes out of a model; so do we, by the model's task ([`shape`]).

mod content;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod shape;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::ModelName,
};
use torchmesh_layers::call::ServedModel;

use crate::{caller::Caller, catalogue::Catalogue, form::tell_when_to_retry, health::Health, tasks};

/// The routes; a body may have up to `max_body` bytes.
pub fn routes(catalogue: Catalogue, health: Health, max_body: usize) -> Router {
    let predict = post(move |catalogue, caller, path, request| predict(catalogue, caller, path, max_body, request));
    Router::new()
        .route("/predictions/{model}", predict.clone())
        .route("/predictions/{model}/{version}", predict)
        .with_state(catalogue)
        .route("/ping", get(move |caller| ping(health, caller)))
}

#[derive(Debug, Deserialize)]
struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

async fn predict(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Path(Named { model, version }): Path<Named>,
    max_body: usize,
    request: Request,
) -> Response {
    let answered = async {
        let described = catalogue.describe(&caller, &model, &version).await?;
        let input = content::read(request, max_body).await?;
        tasks::ask(&catalogue.mesh, &caller, &described, input).await
    };
    match answered.await {
        Ok((answered, _)) => {
            let served = ModelName::parse(&answered.model).ok().map(ServedModel);
            let mut response = shape::answer(answered.outputs);
            served.map(|served| response.extensions_mut().insert(served));
            response
        }
        Err(error) => render(&error),
    }
}

async fn ping(health: Health, caller: Caller) -> Response {
    if health.is_ready(&caller).await {
        Json(json!({ "status": "Healthy" })).into_response()
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "status": "Unhealthy" }))).into_response()
    }
}

/// An error in TorchServe's form: `{"code", "type", "message"}`.
pub fn render(error: &ApiError) -> Response {
    let status = match error.kind {
        // A model that does not take what was sent: to its clients a request that is wrong.
        ErrorKind::Unimplemented => StatusCode::BAD_REQUEST,
        kind => kind.http(),
    };
    let body = json!({ "code": status.as_u16(), "type": exception(error.kind), "message": error.message });
    let mut response = (status, Json(body)).into_response();
    response.extensions_mut().insert(error.kind);
    tell_when_to_retry(error, response.headers_mut());
    response
}

/// TorchServe's word for a kind.
pub(crate) fn exception(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::Unimplemented => "BadRequestException",
        ErrorKind::TooLarge => "PayloadTooLargeException",
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => "InvalidKeyException",
        ErrorKind::NotFound => "ModelNotFoundException",
        ErrorKind::ResourceExhausted | ErrorKind::Unavailable => "ServiceUnavailableException",
        ErrorKind::DeadlineExceeded | ErrorKind::Cancelled => "RequestTimeoutException",
        ErrorKind::Internal => "InternalServerException",
    }
}
