//! `GET /v1/models` and `GET /v1/models/{model}`: the models that can be called now.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{RepositoryIndexRequest, RepositoryIndexResponse},
};

use super::render;
use crate::{caller::Caller, mesh::Mesh};

pub(super) async fn list(State(mesh): State<Mesh>, caller: Caller) -> Response {
    match names(&mesh, &caller).await {
        Ok(names) => Json(json!({ "object": "list", "data": names.iter().map(|name| model(name)).collect::<Vec<_>>() })).into_response(),
        Err(error) => render(&error, None),
    }
}

pub(super) async fn show(State(mesh): State<Mesh>, caller: Caller, Path(wanted): Path<String>) -> Response {
    match names(&mesh, &caller).await {
        Ok(names) if names.contains(&wanted) => Json(model(&wanted)).into_response(),
        Ok(_) => {
            let shown: String = wanted.chars().take(64).collect();
            render(
                &ApiError::new(ErrorKind::NotFound, format!("there is no model {shown:?}; GET /v1/models lists those there are")),
                Some("model"),
            )
        }
        Err(error) => render(&error, None),
    }
}

async fn names(mesh: &Mesh, caller: &Caller) -> Result<BTreeSet<String>, ApiError> {
    let question = RepositoryIndexRequest { ready: true, ..Default::default() };
    let index: RepositoryIndexResponse = mesh.unary(caller, "/inference.GRPCInferenceService/RepositoryIndex", &question).await?;
    Ok(index.models.into_iter().map(|model| model.name).collect())
}

fn model(name: &str) -> Value {
    // When a model was made is not known to the mesh; clients only need a number here.
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "torchmesh" })
}
