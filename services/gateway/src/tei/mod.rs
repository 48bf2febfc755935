//! The paths of text-embeddings-inference: `/embed`, `/predict`, `/rerank`, `/info`.
//!
//! Its server has one model; ours has many. A call means the model of `?model=NAME`, or the only one of the task that the path is for.

pub(crate) mod embed;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod info;
mod measured;
pub(crate) mod predict;
pub(crate) mod rerank;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, rejection::JsonRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use std::sync::Arc;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::Truncation,
};

use error::Refusal;
pub use error::render;
pub(crate) use error::{EMPTY, error_type};

use crate::{
    caller::Caller,
    catalogue::{Catalogue, Described},
};

/// The routes; a body may have up to `max_body` bytes.
pub fn routes(catalogue: Catalogue, limits: info::Limits, max_body: usize) -> Router {
    let info = get(move |catalogue, caller, query| info::tell(catalogue, caller, query, limits));
    Router::new()
        .route("/embed", post(embed::answer))
        .route("/predict", post(predict::answer))
        .route("/rerank", post(rerank::answer))
        .route("/info", info)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(catalogue)
}

pub use info::Limits;

/// `?model=` and `?version=`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    model: String,
    version: String,
}

/// The model that a call means.
async fn meant(catalogue: &Catalogue, caller: &Caller, named: &Named, tasks: &[&str]) -> Result<Arc<Described>, ApiError> {
    if named.model.is_empty() {
        return catalogue.only(caller, tasks).await;
    }
    let described = catalogue.describe(caller, &named.model, &named.version).await?;
    if tasks.contains(&described.task.as_str()) {
        return Ok(described);
    }
    let Described { model, task, .. } = &*described;
    let message =
        format!("model {model:?} has the task {task:?}, and this path is for {}; name another one as ?model=NAME", tasks.join(" or "));
    Err(ApiError::new(ErrorKind::Unimplemented, message))
}

/// Which end of a long text is cut off.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Direction {
    #[serde(alias = "left")]
    Left,
    #[default]
    #[serde(alias = "right")]
    Right,
}

/// What becomes of a long text.
fn truncation(truncate: Option<bool>, direction: Direction) -> Result<i32, Refusal> {
    if direction == Direction::Left {
        return Err(Refusal::invalid("truncation_direction: only the right end can be cut off; leave it out"));
    }
    Ok(match truncate {
        None => Truncation::Unspecified,
        Some(false) => Truncation::Reject,
        Some(true) => Truncation::End,
    }
    .into())
}

/// The body, or what is wrong with it.
fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Refusal> {
    body.map(|Json(question)| question).map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = "the body is over the limit; send fewer or shorter inputs";
            return ApiError::new(ErrorKind::TooLarge, message).into();
        }
        Refusal::invalid(format!("the body cannot be read: {}", rejection.body_text()))
    })
}
