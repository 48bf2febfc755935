//! `POST /v1/chat/completions`: the next message of a conversation, whole or as it is written.

mod chunks;
mod logprobs;
pub(crate) mod messages;
pub(crate) mod question;
pub(crate) mod tools;
mod whole;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use torchmesh_api::text::v1::ChatResponse;

pub(super) use self::logprobs::finite;
use self::{chunks::Chunks, question::Question, whole::Whole};
use super::{render, served, stamp::Stamp};
use crate::{
    caller::Caller,
    generation::{CHAT, Pieces, Refused, begin, events, read_json},
    mesh::Mesh,
};

pub(super) async fn create(State(mesh): State<Mesh>, caller: Caller, max_body: usize, request: Request) -> Response {
    answer(&mesh, &caller, max_body, request).await.unwrap_or_else(|Refused { error, param }| render(&error, param.as_deref()))
}

async fn answer(mesh: &Mesh, caller: &Caller, max_body: usize, request: Request) -> Result<Response, Refused> {
    let question: Question = read_json(request, max_body).await?;
    let (mut asked, manner) = question.check()?;
    let stamp = Stamp::new("chatcmpl-");
    asked.id.clone_from(&stamp.id);
    let mut pieces: Pieces<ChatResponse> = mesh.stream(caller, CHAT, &asked).boxed();
    if manner.stream {
        let first = begin(&mut pieces).await?;
        let answers = first.as_ref().map(|first| first.model.clone());
        let model = answers.clone().unwrap_or(asked.model);
        // A name that nothing answers to yet must not become a metric's.
        return Ok(served(&answers.unwrap_or_default(), events::answer(first, pieces, Chunks::new(stamp, model, manner))));
    }
    let mut whole = Whole::new(stamp, manner);
    while let Some(piece) = pieces.next().await {
        whole.add(piece?);
    }
    let answer = whole.end();
    Ok(served(&answer.model, Json(&answer).into_response()))
}

/// What a body asks.
#[cfg(any(test, fuzzing))]
pub(super) fn asked(body: &[u8]) -> Result<torchmesh_api::text::v1::ChatRequest, Refused> {
    let question: Question = crate::generation::fields::parse(body)?;
    question.check().map(|(asked, _)| asked)
}

/// How an answer is to be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Manner {
    /// As it comes.
    stream: bool,
    /// With what it took, at the end of a stream.
    usage: bool,
    /// With the tokens' logarithms.
    logprobs: bool,
}
