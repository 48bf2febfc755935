//! `POST /embed`.

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use torchmesh_api::text::v1::{EmbedRequest, EmbedResponse, TokenIds};

use super::{Direction, Named, error::Refusal, meant, measured::Measured, read, truncation};
use crate::{
    caller::Caller,
    catalogue::{Catalogue, Described},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    inputs: Inputs,
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Direction,
    prompt_name: Option<String>,
    #[serde(default = "yes")]
    normalize: bool,
    dimensions: Option<u32>,
}

fn yes() -> bool {
    true
}

/// A text, or the tokens of one; or a list of either.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "inputs must be a text, the token ids of one, or a list of either")]
enum Inputs {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

pub(super) async fn answer(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Query(named): Query<Named>,
    body: Result<Json<Question>, JsonRejection>,
) -> Response {
    match embed(&catalogue, &caller, &named, body).await {
        Ok(measured) => measured.into_response(&caller),
        Err(refusal) => refusal.into_response(),
    }
}

async fn embed(
    catalogue: &Catalogue,
    caller: &Caller,
    named: &Named,
    body: Result<Json<Question>, JsonRejection>,
) -> Result<Measured<Vec<Vec<f32>>>, Refusal> {
    let question = read(body)?;
    let described = meant(catalogue, caller, named, &["embed"]).await?;
    let normalize = question.normalize;
    let request = asked(question, &described)?;
    let characters = request.texts.iter().map(|text| text.chars().count()).sum();
    let (told, spent): (EmbedResponse, _) = catalogue.mesh.timed(caller, "/torchmesh.text.v1.TextService/Embed", &request).await?;
    let tokens = told.embeddings.iter().map(|embedding| u64::from(embedding.tokens)).sum();
    let vector = |values: Vec<f32>| if normalize { of_length_one(values) } else { values };
    let body = told.embeddings.into_iter().map(|embedding| vector(embedding.values)).collect();
    Ok(Measured { body, model: told.model, characters, tokens, spent })
}

pub(super) fn asked(question: Question, described: &Described) -> Result<EmbedRequest, Refusal> {
    if question.prompt_name.is_some() {
        return Err(Refusal::invalid("prompt_name: prompts are not added here; put the prompt before the text and leave it out"));
    }
    if question.dimensions.is_some() {
        return Err(Refusal::invalid("dimensions: shortening the vector is not supported by this model; leave it out"));
    }
    if !question.normalize && described.properties.get("normalize").is_none_or(|normalizes| normalizes != "false") {
        return Err(Refusal::invalid(
            "normalize: the vectors of this model have the length 1; leave it out, or set normalize in its model.toml",
        ));
    }
    let (texts, tokens) = match question.inputs {
        Inputs::Text(text) => (vec![text], Vec::new()),
        Inputs::Texts(texts) => (texts, Vec::new()),
        Inputs::Tokens(ids) if ids.is_empty() => (Vec::new(), Vec::new()),
        Inputs::Tokens(ids) => (Vec::new(), vec![ids]),
        Inputs::TokenLists(lists) => (Vec::new(), lists),
    };
    if (texts.is_empty() && tokens.is_empty()) || texts.iter().any(String::is_empty) || tokens.iter().any(Vec::is_empty) {
        return Err(Refusal::Empty("inputs"));
    }
    let tokens = tokens.into_iter().map(|ids| TokenIds { ids }).collect();
    let truncation = truncation(question.truncate, question.truncation_direction)?;
    let (model, model_version) = (described.model.clone(), described.version.clone());
    Ok(EmbedRequest { model, model_version, texts, tokens, truncation, ..Default::default() })
}

/// A vector of the length 1 stays as it is, but for rounding.
fn of_length_one(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 && (length - 1.0).abs() > 1e-5 {
        for value in &mut values {
            *value /= length;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(normalize: &str) -> Described {
        let properties = [("normalize".to_owned(), normalize.to_owned())].into();
        Described { model: "m".to_owned(), version: String::new(), task: "embed".to_owned(), properties }
    }

    fn request(body: serde_json::Value) -> Result<EmbedRequest, Refusal> {
        asked(serde_json::from_value(body).unwrap(), &described("true"))
    }

    #[test]
    fn texts_and_tokens_are_told_apart() {
        assert_eq!(request(json!({ "inputs": "a" })).unwrap().texts, ["a"]);
        assert_eq!(request(json!({ "inputs": ["a", "b"] })).unwrap().texts.len(), 2);
        assert_eq!(request(json!({ "inputs": [1, 2] })).unwrap().tokens[0].ids, [1, 2]);
        assert_eq!(request(json!({ "inputs": [[1], [2, 3]] })).unwrap().tokens.len(), 2);
    }

    #[test]
    fn nothing_is_empty_and_what_cannot_be_done_is_refused() {
        for inputs in [json!(""), json!([]), json!(["a", ""]), json!([[]])] {
            assert!(matches!(request(json!({ "inputs": inputs })), Err(Refusal::Empty("inputs"))), "{inputs}");
        }
        for (field, value) in [
            ("prompt_name", json!("query")),
            ("dimensions", json!(8)),
            ("normalize", json!(false)),
            ("truncation_direction", json!("Left")),
        ] {
            let Err(Refusal::Api(refused)) = request(json!({ "inputs": "a", field: value })) else { panic!("{field} was taken") };
            assert!(refused.message.starts_with(field), "{refused}");
        }
        let plain = asked(serde_json::from_value(json!({ "inputs": "a", "normalize": false })).unwrap(), &described("false"));
        assert!(plain.is_ok());
    }

    #[test]
    fn vectors_are_scaled_to_the_length_1() {
        assert_eq!(of_length_one(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(of_length_one(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
