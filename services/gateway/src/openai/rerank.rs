//! `POST /v1/rerank`, in the form that Jina and Cohere have given it and others took over.

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{RerankRequest, RerankResponse, Truncation},
};

use super::{Refusal, render, served, unreadable};
use crate::{caller::Caller, mesh::Mesh};

/// The most documents of one request.
pub(crate) const MAX_DOCUMENTS: usize = 2048;

#[derive(Debug, Deserialize)]
pub(crate) struct Question {
    model: String,
    query: String,
    documents: Vec<Document>,
    top_n: Option<u32>,
    #[serde(default)]
    return_documents: bool,
    truncate: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a document must be a text, or an object with one in text")]
enum Document {
    Text(String),
    Object { text: String },
}

#[derive(Serialize)]
struct Answer {
    model: String,
    results: Vec<Ranked>,
    usage: Usage,
}

#[derive(Serialize)]
struct Ranked {
    index: u32,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Returned>,
}

#[derive(Serialize)]
struct Returned {
    text: String,
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
    let request = check(question)?;
    let told: RerankResponse =
        mesh.unary(caller, "/torchmesh.text.v1.TextService/Rerank", &request).await.map_err(|error| (error, None))?;
    // Of the documents that are answered; the mesh says nothing of the others.
    let tokens = told.results.iter().map(|one| u64::from(one.tokens)).sum();
    let document = |text| request.return_documents.then_some(Returned { text });
    let ranked =
        |one: torchmesh_api::text::v1::Ranked| Ranked { index: one.index, relevance_score: one.score, document: document(one.document) };
    Ok(Answer {
        model: told.model,
        results: told.results.into_iter().map(ranked).collect(),
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    })
}

pub(super) fn check(question: Question) -> Result<RerankRequest, Refusal> {
    let wrong = |message: String, param| Err((ApiError::new(ErrorKind::InvalidArgument, message), Some(param)));
    let count = question.documents.len();
    if !(1..=MAX_DOCUMENTS).contains(&count) {
        return wrong(format!("documents: 1 to {MAX_DOCUMENTS} can be ordered in one request, not {count}"), "documents");
    }
    if question.query.is_empty() {
        return wrong("query: the text is empty; send what the documents are to answer".to_owned(), "query");
    }
    if question.top_n == Some(0) {
        return wrong("top_n: must be at least 1; leave it out for all".to_owned(), "top_n");
    }
    let text = |document| match document {
        Document::Text(text) | Document::Object { text } => text,
    };
    let truncation = match question.truncate {
        None => Truncation::Unspecified,
        Some(false) => Truncation::Reject,
        Some(true) => Truncation::End,
    };
    Ok(RerankRequest {
        model: question.model,
        query: question.query,
        documents: question.documents.into_iter().map(text).collect(),
        top_n: question.top_n.unwrap_or(0),
        return_documents: question.return_documents,
        truncation: truncation.into(),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(body: serde_json::Value) -> Result<RerankRequest, Refusal> {
        check(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn documents_are_texts_or_objects_with_one() {
        let request = checked(json!({ "model": "m", "query": "q", "documents": ["a", { "text": "b" }], "top_n": 1 })).unwrap();
        assert_eq!((request.documents, request.top_n), (vec!["a".to_owned(), "b".to_owned()], 1));
    }

    #[test]
    fn the_wrong_field_is_named() {
        for (body, param) in [
            (json!({ "model": "m", "query": "q", "documents": [] }), "documents"),
            (json!({ "model": "m", "query": "", "documents": ["a"] }), "query"),
            (json!({ "model": "m", "query": "q", "documents": ["a"], "top_n": 0 }), "top_n"),
        ] {
            assert_eq!(checked(body).unwrap_err().1, Some(param));
        }
    }
}
