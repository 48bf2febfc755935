//! `Chat`: the next message of a conversation.

use std::{sync::Arc, time::SystemTime};

use futures_util::Stream;
use tokio::sync::mpsc;
use tonic::Status;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{self as pb, ChatRequest, ChatResponse, FinishReason, ToolCallPiece, tool_choice},
    usage::Figures,
};
use torchmesh_generation::{
    answer::{Ended, Piece},
    chat::{self, Call, Calls, Conversation, Delta, Message, Template, Tool, ToolChoice},
    sample::seed_of,
    structure::Form,
};

use super::{
    CallInfo, Front, Outcome,
    answers::{Answers, Told},
    invalid, language, prepare,
    prepare::Prompt,
    refused,
    settings::{self, Wishes},
    tell,
    trace::{Operation, Trace},
};
use crate::{
    handlers::driven::driven,
    language::{LanguageModel, Pace},
    models::Model,
};

/// Messages that wait for a caller who does not read; see `generate`.
const MESSAGES: usize = 16;

/// Begins to write, and gives what is used already: the prompt. What is wrong with the request is the call's own error.
pub(super) async fn begin(
    front: &Front,
    model: Arc<Model>,
    info: CallInfo,
    request: ChatRequest,
) -> Result<(Figures, impl Stream<Item = Result<ChatResponse, Status>> + Send + use<>), ApiError> {
    let outcome = Outcome::begin(Arc::clone(&model), info.deadline);
    let blank = ChatResponse {
        model: model.name.as_str().to_owned(),
        model_version: model.version_text.clone(),
        id: request.id.clone(),
        ..Default::default()
    };
    let Begun { answers, trace, readers } = match prepared(front, &model, &info, request).await {
        Ok(begun) => begun,
        Err(error) => return outcome.end(Err(error)),
    };
    let used = Figures { prompt_tokens: answers.usage().prompt_tokens.into(), items: 1, ..Figures::default() };
    let (messages, receiver) = mpsc::channel(MESSAGES);
    let work = async move {
        let teller = Teller { blank, readers, pace: Pace::begin(&model), trace, messages };
        let told = teller.tell(answers).await;
        outcome.end(told).map_err(Status::from)
    };
    Ok((used, driven(work, receiver)))
}

struct Begun {
    answers: Answers,
    trace: Trace,
    /// For each answer, where the model may call tools.
    readers: Vec<Option<Calls>>,
}

async fn prepared(front: &Front, model: &Model, info: &CallInfo, request: ChatRequest) -> Result<Begun, ApiError> {
    let language = language(model, &request.id)?;
    let wishes = settings::wishes(&language, request.settings.clone())?;
    if language.template.is_none() {
        let message = format!(
            "messages: model \"{}\" has no chat template; call it with Generate, or name a file as chat_template in model.toml",
            model.name
        );
        return Err(ApiError::new(ErrorKind::Unimplemented, message));
    }
    let conversation = conversation(request);
    conversation.check().map_err(refused)?;
    let readers = readers(&language, &conversation, &wishes)?;
    let bytes = conversation.messages.iter().map(|message| message.content.len()).sum::<usize>();
    let admission = front.decoders.admit(bytes * 8)?;
    let (shared, asked) = (Arc::clone(&language), wishes.form.clone());
    let work = move || {
        // What the caller did not ask for is what the tools do.
        let ours = asked.is_none();
        // It was there above.
        let template = shared.template.as_ref().ok_or_else(|| invalid("messages: the model has no chat template"))?;
        let prompt = rendered(&shared, template, &conversation)?;
        let form = form(&shared, &conversation, asked)?;
        let grammar = prepare::compile(&shared, form.as_ref());
        Ok((prompt, if ours { grammar.map_err(|error| of_tools(&error))? } else { grammar? }))
    };
    let (prompt, grammar) = front.decoders.run(&admission, work).await?;
    let answers = prepare::submit(model, &language, info, prompt, &wishes, grammar.as_ref())?;
    Ok(Begun { answers, trace: Trace::begin(Operation::Chat, model, info, &wishes), readers })
}

/// The caller knows nothing of a form: its tools are the reason.
fn of_tools(error: &ApiError) -> ApiError {
    let why = error.message.split_once(": ").map_or(error.message.as_str(), |(_, why)| why);
    ApiError::new(error.kind, format!("tools: their parameters cannot be held to: {why}"))
}

/// The text has the special tokens in it, so the tokenizer adds none.
fn rendered(language: &LanguageModel, template: &Template, conversation: &Conversation) -> Result<Prompt, ApiError> {
    let text = template.render(conversation, SystemTime::now()).map_err(refused)?;
    Prompt::of_text(language, &text, false, "messages")
}

/// What the answer is held to: what the caller asks for, or else what its tools do.
fn form(language: &LanguageModel, conversation: &Conversation, asked: Option<Form>) -> Result<Option<Form>, ApiError> {
    match (asked, language.calls) {
        (None, Some(calls)) if !conversation.shown().is_empty() => chat::form(conversation, calls).map_err(refused),
        (asked, _) => Ok(asked),
    }
}

fn readers(language: &LanguageModel, conversation: &Conversation, wishes: &Wishes) -> Result<Vec<Option<Calls>>, ApiError> {
    let tools = conversation.shown();
    if tools.is_empty() {
        return Ok((0..wishes.counts.best_of).map(|_| None).collect());
    }
    let (true, Some(format)) = (language.template.as_ref().is_some_and(Template::shows_tools), language.calls) else {
        return Err(invalid("tools: this model's chat template shows no tools; leave them out, or send tool_choice \"none\""));
    };
    let names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
    let seed = |number: usize| seed_of(wishes.seed, u32::try_from(number).unwrap_or(u32::MAX));
    Ok((0..wishes.counts.best_of).map(|number| Some(Calls::new(format, names.clone(), seed(number)))).collect())
}

fn conversation(request: ChatRequest) -> Conversation {
    let call = |call: pb::ToolCall| Call { id: call.id, name: call.name, arguments: call.arguments };
    let message = |message: pb::ChatMessage| Message {
        role: message.role,
        content: message.content,
        tool_calls: message.tool_calls.into_iter().map(call).collect(),
        tool_call_id: message.tool_call_id,
        name: message.name,
    };
    let tool = |tool: pb::Tool| Tool { name: tool.name, description: tool.description, parameters: tool.parameters, strict: tool.strict };
    let choice = match request.tool_choice.and_then(|choice| choice.choice) {
        Some(tool_choice::Choice::None(true)) => ToolChoice::None,
        Some(tool_choice::Choice::Required(true)) => ToolChoice::Required,
        Some(tool_choice::Choice::Name(name)) => ToolChoice::Named(name),
        _ => ToolChoice::Auto,
    };
    Conversation {
        messages: request.messages.into_iter().map(message).collect(),
        tools: request.tools.into_iter().map(tool).collect(),
        choice,
        parallel: request.parallel_tool_calls,
        variables: request.template_variables,
    }
}

struct Teller {
    blank: ChatResponse,
    readers: Vec<Option<Calls>>,
    pace: Pace,
    trace: Trace,
    messages: mpsc::Sender<ChatResponse>,
}

impl Teller {
    async fn tell(mut self, mut answers: Answers) -> Result<(), ApiError> {
        while let Some(told) = answers.next().await? {
            match told {
                Told::Before(number, text) => self.was_told(number, &text),
                Told::Piece(number, piece) => self.say(number, piece).await,
                Told::Ended(number, ended) => self.end(number, ended).await,
            }
        }
        let usage = answers.usage();
        self.pace.end(&usage);
        self.trace.end(&usage);
        send(&self.messages, ChatResponse { usage: Some(usage), ..self.blank }).await;
        Ok(())
    }

    /// Whoever looks for calls has to know how the text began.
    fn was_told(&mut self, number: usize, text: &str) {
        if let Some(Some(calls)) = self.readers.get_mut(number) {
            drop(calls.push(text));
        }
    }

    async fn say(&mut self, number: usize, piece: Piece) {
        self.pace.piece();
        let message = self.message(number, piece);
        // What may be the beginning of a call is held back.
        if !message.content.is_empty() || !message.tool_calls.is_empty() || !message.tokens.is_empty() {
            send(&self.messages, message).await;
        }
    }

    async fn end(&mut self, number: usize, ended: Ended) {
        self.pace.piece();
        let mut message = self.message(number, ended.last);
        let mut reason = tell::reason(ended.reason);
        if let Some(Some(calls)) = self.readers.get_mut(number) {
            calls.finish().into_iter().for_each(|delta| add(&mut message, delta));
            if calls.count() > 0 && reason == FinishReason::Stop {
                reason = FinishReason::ToolCalls;
            }
        }
        self.trace.answered(reason);
        message.finish_reason = reason.into();
        send(&self.messages, message).await;
    }

    fn message(&mut self, number: usize, piece: Piece) -> ChatResponse {
        let index = u32::try_from(number).unwrap_or(u32::MAX);
        let mut message = ChatResponse { index, tokens: tell::tokens(piece.tokens), ..self.blank.clone() };
        match self.readers.get_mut(number) {
            Some(Some(calls)) => calls.push(&piece.text).into_iter().for_each(|delta| add(&mut message, delta)),
            _ => message.content = piece.text,
        }
        message
    }
}

/// Waits until there is room. A caller who has gone takes this work along, so that nothing is to be done about it here.
async fn send(messages: &mpsc::Sender<ChatResponse>, message: ChatResponse) {
    let _ = messages.send(message).await;
}

fn add(message: &mut ChatResponse, delta: Delta) {
    match delta {
        Delta::Content(text) => message.content.push_str(&text),
        Delta::Call(piece) => message.tool_calls.push(ToolCallPiece {
            index: u32::try_from(piece.index).unwrap_or(u32::MAX),
            id: piece.id,
            name: piece.name,
            arguments: piece.arguments,
        }),
    }
}
