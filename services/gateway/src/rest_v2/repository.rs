//! The model repository: `POST /v2/repository/index` and `/v2/repository/models/{model}/load` and `/unload`.

use std::collections::HashMap;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    inference::{
        ModelRepositoryParameter, RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
        RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, model_repository_parameter::ParameterChoice,
    },
};

use super::{reflect, render};
use crate::{body, caller::Caller, mesh::Mesh};

/// The longest body of a load, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// What a load may bring.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Question {
    parameters: HashMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
}

/// All models, ready or not.
pub(super) async fn index(State(mesh): State<Mesh>, caller: Caller) -> Response {
    let question = frame::encode(&RepositoryIndexRequest::default());
    let told = mesh.send(&caller, "/inference.GRPCInferenceService/RepositoryIndex", [question]).await;
    match told.and_then(|told| reflect::json("RepositoryIndexResponse", told.message)) {
        Ok(mut told) => Json(as_published(told["models"].take())).into_response(),
        Err(error) => render(&error),
    }
}

/// What the protocol has of each model: which load of it answers is between workers and routers.
fn as_published(mut models: serde_json::Value) -> serde_json::Value {
    for model in models.as_array_mut().into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        model.shift_remove("load");
    }
    models
}

/// Loads what the workers' repositories have of a model now; answers when it is ready or has failed.
pub(super) async fn load(State(mesh): State<Mesh>, caller: Caller, Path(model): Path<String>, body: Body) -> Response {
    let done = async {
        let parameters = parameters(&body::read(body, LONGEST).await?.into_bytes())?;
        let question = RepositoryModelLoadRequest { model_name: model, parameters, ..Default::default() };
        mesh.unary(&caller, "/inference.GRPCInferenceService/RepositoryModelLoad", &question).await
    };
    match done.await {
        Ok(RepositoryModelLoadResponse {}) => ().into_response(),
        Err(error) => render(&error),
    }
}

/// Takes a model out until it is loaded again. The parameters that Triton has for it ask about ensembles, which there are none of.
pub(super) async fn unload(State(mesh): State<Mesh>, caller: Caller, Path(model): Path<String>) -> Response {
    let question = RepositoryModelUnloadRequest { model_name: model, ..Default::default() };
    match mesh.unary(&caller, "/inference.GRPCInferenceService/RepositoryModelUnload", &question).await {
        Ok(RepositoryModelUnloadResponse {}) => ().into_response(),
        Err(error) => render(&error),
    }
}

fn parameters(body: &[u8]) -> Result<HashMap<String, ModelRepositoryParameter>, ApiError> {
    if body.is_empty() {
        return Ok(HashMap::new());
    }
    let question: Question = serde_json::from_slice(body).map_err(|error| {
        let message =
            format!("the body cannot be read: {error}; send nothing, or an object with parameters: true, false, whole numbers, texts");
        ApiError::new(ErrorKind::InvalidArgument, message)
    })?;
    let choice = |value| match value {
        Value::Bool(value) => ParameterChoice::BoolParam(value),
        Value::Int(value) => ParameterChoice::Int64Param(value),
        Value::Text(value) => ParameterChoice::StringParam(value),
    };
    let one = |(name, value)| (name, ModelRepositoryParameter { parameter_choice: Some(choice(value)) });
    Ok(question.parameters.into_iter().map(one).collect())
}
