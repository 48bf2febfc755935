//! `POST /v1/completions`: how prompts go on, whole or as it is written.

mod chunks;
mod logprobs;
pub(crate) mod prompt;
pub(crate) mod question;
mod whole;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use torchmesh_api::text::v1::{GenerateRequest, GenerateResponse};

use self::{chunks::Chunks, question::Question, whole::Whole};
use super::{render, served, stamp::Stamp};
use crate::{
    caller::Caller,
    generation::{GENERATE, Pieces, Refused, begin, events, read_json},
    mesh::Mesh,
};

/// So many prompts of one request are written at once; the others follow as these end.
const AT_ONCE: usize = 16;

pub(super) async fn create(State(mesh): State<Mesh>, caller: Caller, max_body: usize, request: Request) -> Response {
    answer(&mesh, &caller, max_body, request).await.unwrap_or_else(|Refused { error, param }| render(&error, param.as_deref()))
}

async fn answer(mesh: &Mesh, caller: &Caller, max_body: usize, request: Request) -> Result<Response, Refused> {
    let question: Question = read_json(request, max_body).await?;
    let (mut asked, manner) = question.check()?;
    let stamp = Stamp::new("cmpl-");
    for asked in &mut asked {
        asked.id.clone_from(&stamp.id);
    }
    let model = asked[0].model.clone();
    let mut pieces = ask(mesh, caller, asked, manner.answers);
    if manner.stream {
        let first = begin(&mut pieces).await?;
        let answers = first.as_ref().map(|first| first.model.clone());
        // A name that nothing answers to yet must not become a metric's.
        let chunks = Chunks::new(stamp, answers.clone().unwrap_or(model), manner);
        return Ok(served(&answers.unwrap_or_default(), events::answer(first, pieces, chunks)));
    }
    let mut whole = Whole::new(stamp, manner);
    while let Some(piece) = pieces.next().await {
        whole.add(piece?);
    }
    let answer = whole.end();
    Ok(served(&answer.model, Json(&answer).into_response()))
}

/// The pieces of all prompts' answers as they come. Each is numbered over all prompts: `answers` to the first, then those to the second.
fn ask(mesh: &Mesh, caller: &Caller, asked: Vec<GenerateRequest>, answers: u32) -> Pieces<GenerateResponse> {
    let (mesh, caller) = (mesh.clone(), caller.clone());
    let calls = asked.into_iter().zip((0..).step_by(answers as usize)).map(move |(asked, first)| {
        let pieces = mesh.stream::<_, GenerateResponse>(&caller, GENERATE, &asked);
        pieces.map(move |piece| piece.map(|piece| GenerateResponse { index: first + piece.index, ..piece })).boxed()
    });
    stream::iter(calls).flatten_unordered(AT_ONCE).boxed()
}

/// What a body asks.
#[cfg(any(test, fuzzing))]
pub(super) fn asked(body: &[u8]) -> Result<Vec<GenerateRequest>, Refused> {
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
    /// With the logarithms of the tokens.
    logprobs: bool,
    /// Answers to each prompt.
    answers: u32,
}
