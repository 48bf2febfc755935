//! `POST /v1/embeddings`.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{EmbedRequest, EmbedResponse, TokenIds},
};

use super::{Refusal, render, served, unreadable};
use crate::{caller::Caller, mesh::Mesh};

/// The most inputs of one request.
pub(crate) const MAX_INPUTS: usize = 2048;

/// The request, as OpenAI's reference describes it. `user` is taken and not used.
#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Format,
    dimensions: Option<u32>,
    #[serde(rename = "user")]
    _user: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct Answer {
    object: &'static str,
    data: Vec<Item>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    /// Little-endian 32-bit floats.
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

pub(super) async fn create(State(mesh): State<Mesh>, caller: Caller, question: Result<Json<Question>, JsonRejection>) -> Response {
    match answer(&mesh, &caller, question).await {
        Ok(answer) => served(&answer.model.clone(), Json(answer).into_response()),
        Err((error, param)) => render(&error, param),
    }
}

async fn answer(mesh: &Mesh, caller: &Caller, question: Result<Json<Question>, JsonRejection>) -> Result<Answer, Refusal> {
    let Json(question) = question.map_err(|rejection| (unreadable(&rejection), None))?;
    let (request, format) = check(question)?;
    let embedded: EmbedResponse =
        mesh.unary(caller, "/torchmesh.text.v1.TextService/Embed", &request).await.map_err(|error| (error, None))?;
    Ok(convert(embedded, format))
}

pub(super) fn check(question: Question) -> Result<(EmbedRequest, Format), Refusal> {
    let wrong = |message: String, param| Err((ApiError::new(ErrorKind::InvalidArgument, message), Some(param)));
    if question.dimensions.is_some() {
        return wrong("dimensions: shortening the vector is not supported by this model; leave it out".to_owned(), "dimensions");
    }
    let (texts, tokens) = match question.input {
        Input::Text(text) => (vec![text], Vec::new()),
        Input::Texts(texts) => (texts, Vec::new()),
        Input::Tokens(ids) if ids.is_empty() => (Vec::new(), Vec::new()),
        Input::Tokens(ids) => (Vec::new(), vec![ids]),
        Input::TokenLists(lists) => (Vec::new(), lists),
    };
    let count = texts.len() + tokens.len();
    if !(1..=MAX_INPUTS).contains(&count) {
        return wrong(format!("input: 1 to {MAX_INPUTS} texts can be embedded in one request, not {count}"), "input");
    }
    if let Some(at) = texts.iter().position(String::is_empty) {
        return wrong(format!("input[{at}]: the text is empty"), "input");
    }
    let tokens = tokens.into_iter().map(|ids| TokenIds { ids }).collect();
    Ok((EmbedRequest { model: question.model, texts, tokens, ..Default::default() }, question.encoding_format))
}

fn convert(embedded: EmbedResponse, format: Format) -> Answer {
    let tokens = embedded.embeddings.iter().map(|embedding| u64::from(embedding.tokens)).sum();
    let item = |(index, values): (usize, Vec<f32>)| Item {
        object: "embedding",
        index,
        embedding: match format {
            Format::Float => Vector::Floats(values),
            Format::Base64 => Vector::Base64(STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())),
        },
    };
    Answer {
        object: "list",
        data: embedded.embeddings.into_iter().map(|embedding| embedding.values).enumerate().map(item).collect(),
        model: embedded.model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use torchmesh_api::text::v1::Embedding;

    use super::*;

    fn checked(body: serde_json::Value) -> Result<EmbedRequest, Refusal> {
        check(serde_json::from_value(body).unwrap()).map(|(request, _)| request)
    }

    #[test]
    fn all_four_forms_of_input_are_taken() {
        let request = |input| checked(json!({ "model": "m", "input": input })).unwrap();
        assert_eq!(request(json!("a")).texts, ["a"]);
        assert_eq!(request(json!(["a", "b"])).texts, ["a", "b"]);
        assert_eq!(request(json!([1, 2])).tokens[0].ids, [1, 2]);
        assert_eq!(request(json!([[1], [2, 3]])).tokens.len(), 2);
    }

    #[test]
    fn an_input_that_cannot_be_embedded_is_named() {
        for (body, param) in [
            (json!({ "model": "m", "input": [] }), "input"),
            (json!({ "model": "m", "input": ["a", ""] }), "input"),
            (json!({ "model": "m", "input": vec!["a"; 2049] }), "input"),
            (json!({ "model": "m", "input": "a", "dimensions": 64 }), "dimensions"),
        ] {
            assert_eq!(checked(body).unwrap_err().1, Some(param));
        }
    }

    #[test]
    fn base64_holds_the_same_floats() {
        let embedding = Embedding { values: vec![1.5, -2.0], tokens: 3, truncated: false, windows: 1 };
        let answer = convert(EmbedResponse { embeddings: vec![embedding], ..Default::default() }, Format::Base64);
        let Vector::Base64(text) = &answer.data[0].embedding else { panic!("floats came") };
        assert_eq!(STANDARD.decode(text).unwrap(), [1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
        assert_eq!(answer.usage.prompt_tokens, 3);
    }
}
