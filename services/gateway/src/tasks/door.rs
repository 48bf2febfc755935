//! The path itself: what a body is, by its content type.

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::Value;
use torchmesh_api::{error::ApiError, ids::ModelName};
use torchmesh_layers::call::ServedModel;

use super::{
    ask,
    input::{Content, Input},
    invalid,
};
use crate::{aside, body, caller::Caller, catalogue::Catalogue, openai::render};

/// The most inputs of one request.
pub(crate) const MAX_INPUTS: usize = 2048;

/// The route; a body may have up to `max_body` bytes.
pub fn routes(catalogue: Catalogue, max_body: usize) -> Router {
    let answer = move |catalogue, caller, path, query, headers, body| answer(catalogue, caller, path, query, headers, max_body, body);
    Router::new().route("/v1/tasks/{model}", post(answer)).with_state(catalogue)
}

/// `?version=`: empty is that which the route chooses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Version {
    version: String,
}

/// A body of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    inputs: Inputs,
    #[serde(default)]
    parameters: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "inputs must be a text (or a file in base64), a list of them, or {\"query\": …, \"documents\": […]}")]
enum Inputs {
    One(String),
    Many(Vec<String>),
    Query { query: String, documents: Vec<String> },
}

async fn answer(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Path(model): Path<String>,
    Query(Version { version }): Query<Version>,
    headers: HeaderMap,
    max_body: usize,
    body: Body,
) -> Response {
    let answered = async {
        let described = catalogue.describe(&caller, &model, &version).await?;
        let input = input(&headers, body::read(body, max_body).await?.into_bytes()).await?;
        ask(&catalogue.mesh, &caller, &described, input).await
    };
    match answered.await {
        Ok((answered, _)) => {
            let served = ModelName::parse(&answered.model).ok().map(ServedModel);
            let mut response = Json(answered).into_response();
            served.map(|served| response.extensions_mut().insert(served));
            response
        }
        Err(error) => render(&error, None),
    }
}

/// What the body is, by its content type: JSON, or the thing itself.
async fn input(headers: &HeaderMap, body: bytes::Bytes) -> Result<Input, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if body.is_empty() {
        return Err(invalid("the body is empty; send what the model takes: JSON with inputs, a text, or a file"));
    }
    if !kind.starts_with("application/json") {
        return Ok(Input { content: Content::Raw(body), options: Value::Null });
    }
    aside::run(body.len(), move || read(&body)).await?
}

pub(super) fn read(body: &[u8]) -> Result<Input, ApiError> {
    let Question { inputs, parameters } =
        serde_json::from_slice(body).map_err(|error| invalid(format!("the body cannot be read: {error}")))?;
    let (content, count) = match inputs {
        Inputs::One(one) => (Content::One(one), 1),
        Inputs::Many(many) => {
            let count = many.len();
            (Content::Many(many), count)
        }
        Inputs::Query { query, documents } => {
            let count = documents.len();
            (Content::Query { query, documents }, count)
        }
    };
    if !(1..=MAX_INPUTS).contains(&count) {
        return Err(invalid(format!("inputs: 1 to {MAX_INPUTS} can be sent in one request, not {count}")));
    }
    Ok(Input { content, options: parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        read(body.as_bytes()).unwrap_err().message
    }

    #[test]
    fn a_text_a_list_and_a_query_are_told_apart() {
        let content = |body: &str| read(body.as_bytes()).unwrap().content;
        assert!(matches!(content(r#"{"inputs":"a"}"#), Content::One(one) if one == "a"));
        assert!(matches!(content(r#"{"inputs":["a","b"]}"#), Content::Many(many) if many.len() == 2));
        assert!(matches!(content(r#"{"inputs":{"query":"q","documents":["a"]}}"#), Content::Query { query, .. } if query == "q"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_to_send() {
        assert!(refused(r#"{"inputs":7}"#).contains("inputs must be a text"));
        assert!(refused(r#"{"inputs":[]}"#).contains("1 to 2048"));
        assert!(refused(r#"{"text":"a"}"#).contains("unknown field `text`, expected `inputs` or `parameters`"));
        assert!(refused("{").contains("cannot be read"));
    }
}
