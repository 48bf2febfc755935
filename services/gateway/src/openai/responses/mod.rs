//! `POST /v1/responses`: an answer as a list of items, whole or as it is written. Nothing is stored: a conversation is sent whole each time.

mod events;
pub(crate) mod input;
mod output;
pub(crate) mod question;
mod response;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response as HttpResponse},
};
use futures_util::StreamExt as _;
use torchmesh_api::text::v1::ChatResponse;

use self::{events::Events, output::Output, question::Question, response::Status};
use super::{render, served};
use crate::{
    caller::Caller,
    generation::{CHAT, Pieces, Refused, begin, events as sent, read_json},
    mesh::Mesh,
};

pub(super) async fn create(State(mesh): State<Mesh>, caller: Caller, max_body: usize, request: Request) -> HttpResponse {
    answer(&mesh, &caller, max_body, request).await.unwrap_or_else(|Refused { error, param }| render(&error, param.as_deref()))
}

async fn answer(mesh: &Mesh, caller: &Caller, max_body: usize, request: Request) -> Result<HttpResponse, Refused> {
    let question: Question = read_json(request, max_body).await?;
    let (asked, mut response, stream) = question.check()?;
    let mut pieces: Pieces<ChatResponse> = mesh.stream(caller, CHAT, &asked).boxed();
    if stream {
        let first = begin(&mut pieces).await?;
        let answers = first.as_ref().map(|first| first.model.clone()).unwrap_or_default();
        response.answered_by(&answers);
        return Ok(served(&answers, sent::answer(first, pieces, Events::new(response))));
    }
    let mut output = Output::default();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        response.answered_by(&piece.model);
        output.add(piece, &mut ());
    }
    output.end(&mut ());
    let body = Json(response.shown(Status::of(&output), &output)).into_response();
    Ok(served(response.model(), body))
}

/// What a body asks, and what the answer's beginning says of it.
#[cfg(any(test, fuzzing))]
pub(super) fn asked(body: &[u8]) -> Result<(torchmesh_api::text::v1::ChatRequest, serde_json::Value), Refused> {
    let question: Question = crate::generation::fields::parse(body)?;
    question.check().map(|(asked, response, _)| (asked, response.shown(Status::InProgress, &Output::default())))
}
