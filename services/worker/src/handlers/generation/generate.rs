//! `Generate`: how a prompt goes on.

use std::{sync::Arc, time::SystemTime};

use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::Status;
use torchmesh_api::{
    error::ApiError,
    text::v1::{FinishReason, GenerateRequest, GenerateResponse},
    usage::Figures,
};
use torchmesh_generation::{
    answer::{Ended, Piece},
    chat::{Conversation, Message},
};

use super::{
    CallInfo, Front, Outcome,
    answers::{Answers, Told},
    invalid, language, prepare,
    prepare::Prompt,
    refused, settings, tell,
    trace::{Operation, Trace},
};
use crate::{
    handlers::driven::driven,
    language::{LanguageModel, Pace},
    models::Model,
};

/// Messages that wait for a caller who does not read. The model goes on meanwhile; what it writes is bounded by `max_tokens`.
const MESSAGES: usize = 16;

/// Begins to write, and gives what is used already: the prompt. What is wrong with the request is the call's own error.
///
/// Everything that an answer holds (the model, its place in the cache) lives in the stream, and goes with it when the caller leaves.
pub(super) async fn begin(
    front: &Front,
    model: Arc<Model>,
    info: CallInfo,
    request: GenerateRequest,
) -> Result<(Figures, impl Stream<Item = Result<GenerateResponse, Status>> + Send + use<>), ApiError> {
    let outcome = Outcome::begin(Arc::clone(&model), info.deadline);
    let (id, echo) = (request.id.clone(), request.echo);
    let (answers, trace, count) = match prepared(front, &model, &info, request).await {
        Ok(prepared) => prepared,
        Err(error) => return outcome.end(Err(error)),
    };
    let told = answers.usage();
    let repeated = if echo { u64::from(told.prompt_tokens) * count as u64 } else { 0 };
    let used = Figures { prompt_tokens: told.prompt_tokens.into(), items: 1, echoed_tokens: repeated, ..Figures::default() };
    let (messages, receiver) = mpsc::channel(MESSAGES);
    let work = async move {
        let teller = Teller { blank: blank(&model, id), pace: Pace::begin(&model), trace, messages };
        let told = teller.tell(answers).await;
        outcome.end(told).map_err(Status::from)
    };
    Ok((used, driven(work, receiver)))
}

fn blank(model: &Model, id: String) -> GenerateResponse {
    GenerateResponse { model: model.name.as_str().to_owned(), model_version: model.version_text.clone(), id, ..Default::default() }
}

/// The answers, their span, and how many of them are told.
async fn prepared(front: &Front, model: &Model, info: &CallInfo, request: GenerateRequest) -> Result<(Answers, Trace, usize), ApiError> {
    let language = language(model, &request.id)?;
    let wishes = settings::wishes(&language, request.settings)?;
    if request.prompt.is_empty() == request.tokens.is_empty() {
        return Err(invalid("prompt: send either prompt or tokens, and not both"));
    }
    if request.echo && !wishes.written.is_empty() {
        return Err(invalid("written: an answer that begins with its prompt (echo) cannot be resumed"));
    }
    let (prompt, tokens, echo) = (request.prompt, request.tokens, request.echo);
    let (shared, form) = (Arc::clone(&language), wishes.form.clone());
    let admission = front.decoders.admit(prompt.len() * 8 + tokens.len() * 4)?;
    let work = move || {
        let mut read = if tokens.is_empty() { text_prompt(&shared, &prompt)? } else { Prompt { tokens, field: "tokens", echo: None } };
        if echo {
            read.echo = Some(if prompt.is_empty() { shared.words.text(&read.tokens) } else { prompt });
        }
        Ok((read, prepare::compile(&shared, form.as_ref())?))
    };
    let (prompt, grammar) = front.decoders.run(&admission, work).await?;
    let answers = prepare::submit(model, &language, info, prompt, &wishes, grammar.as_ref())?;
    Ok((answers, Trace::begin(Operation::TextCompletion, model, info, &wishes), wishes.counts.n))
}

/// A text as it is; or, where the manifest says what is to be done with texts, as a conversation that says so.
fn text_prompt(language: &LanguageModel, text: &str) -> Result<Prompt, ApiError> {
    let Some(instruction) = &language.settings.instruction else { return Prompt::of_text(language, text, true, "prompt") };
    let said = instruction.replacen("{text}", text, 1);
    let Some(template) = &language.template else { return Prompt::of_text(language, &said, true, "prompt") };
    let message = Message { role: "user".to_owned(), content: said, ..Message::default() };
    let conversation = Conversation { messages: vec![message], ..Conversation::default() };
    let rendered = template.render(&conversation, SystemTime::now()).map_err(refused)?;
    Prompt::of_text(language, &rendered, false, "prompt")
}

struct Teller {
    blank: GenerateResponse,
    pace: Pace,
    trace: Trace,
    messages: mpsc::Sender<GenerateResponse>,
}

impl Teller {
    async fn tell(mut self, mut answers: Answers) -> Result<(), ApiError> {
        while let Some(told) = answers.next().await? {
            match told {
                Told::Before(..) => {}
                Told::Piece(number, piece) => self.say(number, piece, FinishReason::Unspecified).await,
                Told::Ended(number, ended) => self.end(number, ended).await,
            }
        }
        let usage = answers.usage();
        self.pace.end(&usage);
        self.trace.end(&usage);
        send(&self.messages, GenerateResponse { usage: Some(usage), ..self.blank }).await;
        Ok(())
    }

    async fn end(&mut self, number: usize, ended: Ended) {
        let reason = tell::reason(ended.reason);
        self.trace.answered(reason);
        self.say(number, ended.last, reason).await;
    }

    async fn say(&mut self, number: usize, piece: Piece, reason: FinishReason) {
        self.pace.piece();
        let message = GenerateResponse {
            index: u32::try_from(number).unwrap_or(u32::MAX),
            text: piece.text,
            tokens: tell::tokens(piece.tokens),
            finish_reason: reason.into(),
            ..self.blank.clone()
        };
        send(&self.messages, message).await;
    }
}

/// Waits until there is room. A caller who has gone takes this work along, so that nothing is to be done about it here.
async fn send(messages: &mpsc::Sender<GenerateResponse>, message: GenerateResponse) {
    let _ = messages.send(message).await;
}
