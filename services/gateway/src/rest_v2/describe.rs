//! What the server, the models and their statistics are: `GET`s under `/v2`.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use prost::Message;
use serde_json::{Value, json};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    inference::{
        ModelConfigRequest, ModelMetadataRequest, ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest, RepositoryIndexRequest,
        RepositoryIndexResponse, ServerMetadataRequest,
    },
};

use super::{Named, reflect, render};
use crate::{caller::Caller, mesh::Mesh};

/// What this door does beside what the server does.
const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "classification", "parameters"];
const INDEX: &str = "/inference.GRPCInferenceService/RepositoryIndex";
const STATISTICS: &str = "/inference.GRPCInferenceService/ModelStatistics";

fn written(result: Result<Value, ApiError>) -> Response {
    result.map_or_else(|error| render(&error), |value| Json(value).into_response())
}

async fn ask(mesh: &Mesh, caller: &Caller, path: &'static str, question: &impl Message, answer: &str) -> Result<Value, ApiError> {
    reflect::json(answer, mesh.send(caller, path, [frame::encode(question)]).await?.message)
}

pub(super) async fn server(State(mesh): State<Mesh>, caller: Caller) -> Response {
    let path = "/inference.GRPCInferenceService/ServerMetadata";
    let mut told = ask(&mesh, &caller, path, &ServerMetadataRequest {}, "ServerMetadataResponse").await;
    if let Ok(Some(extensions)) = told.as_mut().map(|told| told["extensions"].as_array_mut()) {
        extensions.extend(EXTENSIONS.map(Value::from));
    }
    written(told)
}

pub(super) async fn model(State(mesh): State<Mesh>, caller: Caller, Path(Named { model, version }): Path<Named>) -> Response {
    let question = ModelMetadataRequest { name: model, version };
    written(ask(&mesh, &caller, "/inference.GRPCInferenceService/ModelMetadata", &question, "ModelMetadataResponse").await)
}

pub(super) async fn config(State(mesh): State<Mesh>, caller: Caller, Path(Named { model, version }): Path<Named>) -> Response {
    let question = ModelConfigRequest { name: model, version };
    let told = ask(&mesh, &caller, "/inference.GRPCInferenceService/ModelConfig", &question, "ModelConfigResponse").await;
    written(told.map(|mut told| told["config"].take()))
}

/// Ready is 200; everything else says why not.
pub(super) async fn ready(State(mesh): State<Mesh>, caller: Caller, Path(Named { model, version }): Path<Named>) -> Response {
    let question = ModelReadyRequest { name: model.clone(), version };
    let told: Result<ModelReadyResponse, _> = mesh.unary(&caller, "/inference.GRPCInferenceService/ModelReady", &question).await;
    let ready = told.and_then(|told| {
        let shown: String = model.chars().take(64).collect();
        let waiting = || ApiError::new(ErrorKind::Unavailable, format!("model {shown:?} is not ready; try again"));
        told.ready.then(|| json!({ "name": model, "ready": true })).ok_or_else(waiting)
    });
    written(ready)
}

pub(super) async fn statistics(State(mesh): State<Mesh>, caller: Caller, Path(Named { model, version }): Path<Named>) -> Response {
    let question = ModelStatisticsRequest { name: model, version };
    written(ask(&mesh, &caller, STATISTICS, &question, "ModelStatisticsResponse").await)
}

/// Those of every model that is ready, one after another.
pub(super) async fn all_statistics(State(mesh): State<Mesh>, caller: Caller) -> Response {
    written(everything(&mesh, &caller).await)
}

async fn everything(mesh: &Mesh, caller: &Caller) -> Result<Value, ApiError> {
    let index: RepositoryIndexResponse = mesh.unary(caller, INDEX, &RepositoryIndexRequest { ready: true, ..Default::default() }).await?;
    let mut all = Vec::with_capacity(index.models.len());
    for listed in index.models {
        let question = ModelStatisticsRequest { name: listed.name, version: listed.version };
        match ask(mesh, caller, STATISTICS, &question, "ModelStatisticsResponse").await {
            Ok(mut told) => all.append(told["model_stats"].as_array_mut().unwrap_or(&mut Vec::new())),
            // Gone since it was listed.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unavailable) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(json!({ "model_stats": all }))
}
