//! `POST /rerank`.

use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use torchmesh_api::text::v1::{RerankRequest, RerankResponse, ScoreFunction};

use super::{Direction, Named, error::Refusal, meant, measured::Measured, read, truncation};
use crate::{
    caller::Caller,
    catalogue::{Catalogue, Described},
};

#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    query: String,
    texts: Vec<String>,
    truncate: Option<bool>,
    #[serde(default)]
    truncation_direction: Direction,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
}

#[derive(Debug, Serialize)]
struct Rank {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    score: f32,
}

pub(super) async fn answer(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Query(named): Query<Named>,
    body: Result<Json<Question>, JsonRejection>,
) -> Response {
    match rerank(&catalogue, &caller, &named, body).await {
        Ok(measured) => measured.into_response(&caller),
        Err(refusal) => refusal.into_response(),
    }
}

async fn rerank(
    catalogue: &Catalogue,
    caller: &Caller,
    named: &Named,
    body: Result<Json<Question>, JsonRejection>,
) -> Result<Measured<Vec<Rank>>, Refusal> {
    let question = read(body)?;
    let described = meant(catalogue, caller, named, &["rerank"]).await?;
    let request = asked(question, &described)?;
    let characters = request.documents.iter().chain([&request.query]).map(|text| text.chars().count()).sum();
    let (told, spent): (RerankResponse, _) = catalogue.mesh.timed(caller, "/torchmesh.text.v1.TextService/Rerank", &request).await?;
    let tokens = told.results.iter().map(|one| u64::from(one.tokens)).sum();
    let text = |document| request.return_documents.then_some(document);
    let body = told.results.into_iter().map(|one| Rank { index: one.index, text: text(one.document), score: one.score }).collect();
    Ok(Measured { body, model: told.model, characters, tokens, spent })
}

pub(super) fn asked(question: Question, described: &Described) -> Result<RerankRequest, Refusal> {
    if question.texts.is_empty() {
        return Err(Refusal::Empty("texts"));
    }
    let truncation = truncation(question.truncate, question.truncation_direction)?;
    Ok(RerankRequest {
        model: described.model.clone(),
        model_version: described.version.clone(),
        query: question.query,
        documents: question.texts,
        truncation,
        return_documents: question.return_text,
        function: if question.raw_scores { ScoreFunction::None } else { ScoreFunction::Unspecified }.into(),
        ..Default::default()
    })
}
