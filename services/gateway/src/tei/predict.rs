//! `POST /predict`.

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use torchmesh_api::text::v1::{Classification, ClassifyRequest, ClassifyResponse, ScoreFunction};

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
    #[serde(default)]
    raw_scores: bool,
}

/// As its server reads them: a text, a list that is one text (or a pair, which we do not take), or a list of such lists.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "inputs must be a text, or a list of lists of one text each")]
enum Inputs {
    Text(String),
    One(Vec<String>),
    Batch(Vec<Vec<String>>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    One(Vec<Prediction>),
    Batch(Vec<Vec<Prediction>>),
}

#[derive(Debug, Serialize)]
struct Prediction {
    score: f32,
    label: String,
}

pub(super) async fn answer(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Query(named): Query<Named>,
    body: Result<Json<Question>, JsonRejection>,
) -> Response {
    match predict(&catalogue, &caller, &named, body).await {
        Ok(measured) => measured.into_response(&caller),
        Err(refusal) => refusal.into_response(),
    }
}

async fn predict(
    catalogue: &Catalogue,
    caller: &Caller,
    named: &Named,
    body: Result<Json<Question>, JsonRejection>,
) -> Result<Measured<Answer>, Refusal> {
    let question = read(body)?;
    let single = !matches!(question.inputs, Inputs::Batch(_));
    let described = meant(catalogue, caller, named, &["classify"]).await?;
    let request = asked(question, &described)?;
    let characters = request.texts.iter().map(|text| text.chars().count()).sum();
    let (told, spent): (ClassifyResponse, _) = catalogue.mesh.timed(caller, "/torchmesh.text.v1.TextService/Classify", &request).await?;
    let tokens = told.classifications.iter().map(|found| u64::from(found.tokens)).sum();
    let mut batch: Vec<_> = told.classifications.into_iter().map(predictions).collect();
    let body = if single { Answer::One(batch.pop().unwrap_or_default()) } else { Answer::Batch(batch) };
    Ok(Measured { body, model: told.model, characters, tokens, spent })
}

fn predictions(found: Classification) -> Vec<Prediction> {
    found.labels.into_iter().map(|label| Prediction { score: label.score, label: label.label }).collect()
}

pub(super) fn asked(question: Question, described: &Described) -> Result<ClassifyRequest, Refusal> {
    let texts: Vec<_> = match question.inputs {
        Inputs::Text(text) => vec![text],
        Inputs::One(one) => vec![only(one)?],
        Inputs::Batch(batch) => batch.into_iter().map(only).collect::<Result<_, _>>()?,
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Refusal::Empty("inputs"));
    }
    let truncation = truncation(question.truncate, question.truncation_direction)?;
    let function = if question.raw_scores { ScoreFunction::None } else { ScoreFunction::Unspecified }.into();
    let (model, model_version) = (described.model.clone(), described.version.clone());
    Ok(ClassifyRequest { model, model_version, texts, truncation, function, ..Default::default() })
}

/// The one text of a list.
fn only(mut texts: Vec<String>) -> Result<String, Refusal> {
    match (texts.pop(), texts.len()) {
        (Some(text), 0) => Ok(text),
        (None, _) => Err(Refusal::Empty("inputs")),
        _ => Err(Refusal::invalid(
            "inputs: a list of texts is one input here, and pairs are not taken; send [[\"a\"], [\"b\"]] for two texts",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(inputs: &serde_json::Value) -> Result<ClassifyRequest, Refusal> {
        let described = Described { model: "m".to_owned(), version: String::new(), task: "classify".to_owned(), properties: [].into() };
        asked(serde_json::from_value(json!({ "inputs": inputs, "raw_scores": true })).unwrap(), &described)
    }

    #[test]
    fn a_batch_is_a_list_of_lists() {
        assert_eq!(request(&json!("a")).unwrap().texts, ["a"]);
        assert_eq!(request(&json!(["a"])).unwrap().texts, ["a"]);
        let batch = request(&json!([["a"], ["b"]])).unwrap();
        assert_eq!((batch.texts.len(), batch.function()), (2, ScoreFunction::None));
    }

    #[test]
    fn pairs_are_refused_and_nothing_is_empty() {
        assert!(matches!(request(&json!(["a", "b"])), Err(Refusal::Api(refused)) if refused.message.contains("pairs")));
        assert!(matches!(request(&json!([["a", "b"]])), Err(Refusal::Api(_))));
        for inputs in [json!(""), json!([]), json!([[]]), json!([["a"], [""]])] {
            assert!(matches!(request(&inputs), Err(Refusal::Empty("inputs"))), "{inputs}");
        }
    }
}
