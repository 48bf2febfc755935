//! What language models are asked and what they answer, put together from its pieces; and what the reference implementation answered.

use std::fs;

use serde_json::Value;
use tonic::{IntoRequest, Request, Status};
use torchmesh_api::text::v1::{
    ChatMessage, ChatRequest, FinishReason, GenerateRequest, GenerationSettings, ToolCall, ToolCallPiece, Usage, WrittenToken,
};

use crate::{MeshSandbox, client::Generation, models::Model, places, sandbox::Builder};

/// One answer, whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// What was written.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<WrittenToken>,
    /// The tools that it calls.
    pub calls: Vec<ToolCall>,
    /// Why it ended; unspecified: it did not.
    pub reason: FinishReason,
}

impl Answer {
    /// The ids of its tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }
}

/// All that was told of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// The answers, by their number.
    pub answers: Vec<Answer>,
    /// What was read and written; the last message.
    pub usage: Usage,
    /// How many messages came before it.
    pub pieces: usize,
}

impl Told {
    /// The only answer. Panics when there are more.
    pub fn one(self) -> Answer {
        let [answer] = <[Answer; 1]>::try_from(self.answers).expect("one answer");
        answer
    }

    fn answer(&mut self, index: u32) -> &mut Answer {
        assert_eq!(self.usage, Usage::default(), "the usage comes last");
        self.pieces += 1;
        let index = usize::try_from(index).expect("few answers");
        if self.answers.len() <= index {
            self.answers.resize(index + 1, Answer::default());
        }
        let answer = &mut self.answers[index];
        assert_eq!(answer.reason, FinishReason::Unspecified, "nothing follows the end of an answer");
        answer
    }
}

/// Asks how a prompt goes on, and reads all of the answer.
pub async fn generate(client: &Generation, request: impl IntoRequest<GenerateRequest>) -> Result<Told, Status> {
    generate_telling(client, request, |_| {}).await
}

/// The same, and tells after each piece how many have come.
pub async fn generate_telling(
    client: &Generation,
    request: impl IntoRequest<GenerateRequest>,
    mut come: impl FnMut(usize),
) -> Result<Told, Status> {
    let mut stream = client.clone().generate(request).await?.into_inner();
    let mut told = Told::default();
    while let Some(piece) = stream.message().await? {
        if let Some(usage) = piece.usage {
            told.usage = usage;
            continue;
        }
        let reason = piece.finish_reason();
        let answer = told.answer(piece.index);
        answer.text.push_str(&piece.text);
        answer.tokens.extend(piece.tokens);
        answer.reason = reason;
        come(told.pieces);
    }
    Ok(told)
}

/// Asks for the next message of a conversation, and reads all of it.
pub async fn chat(client: &Generation, request: impl IntoRequest<ChatRequest>) -> Result<Told, Status> {
    let mut stream = client.clone().chat(request).await?.into_inner();
    let mut told = Told::default();
    while let Some(piece) = stream.message().await? {
        if let Some(usage) = piece.usage {
            told.usage = usage;
            continue;
        }
        let reason = piece.finish_reason();
        let answer = told.answer(piece.index);
        answer.text.push_str(&piece.content);
        answer.tokens.extend(piece.tokens);
        piece.tool_calls.into_iter().for_each(|call| join(&mut answer.calls, call));
        answer.reason = reason;
    }
    Ok(told)
}

fn join(calls: &mut Vec<ToolCall>, piece: ToolCallPiece) {
    let index = usize::try_from(piece.index).expect("few calls");
    if calls.len() == index {
        assert!(!piece.id.is_empty() && !piece.name.is_empty(), "a call begins with its id and name: {piece:?}");
        calls.push(ToolCall { id: piece.id, name: piece.name, arguments: piece.arguments });
    } else {
        assert!(piece.id.is_empty() && piece.name.is_empty(), "id and name come once: {piece:?}");
        calls[index].arguments.push_str(&piece.arguments);
    }
}

/// A question for a model, as text, with these settings.
pub fn ask(model: &str, prompt: &str, settings: GenerationSettings) -> GenerateRequest {
    GenerateRequest { model: model.to_owned(), prompt: prompt.to_owned(), settings: Some(settings), ..Default::default() }
}

/// The same, as a message of a user.
pub fn say(model: &str, content: &str, settings: GenerationSettings) -> ChatRequest {
    let message = ChatMessage { role: "user".to_owned(), content: content.to_owned(), ..Default::default() };
    ChatRequest { model: model.to_owned(), messages: vec![message], settings: Some(settings), ..Default::default() }
}

/// The likeliest token each time, so many of them.
pub fn greedy(max_tokens: u32) -> GenerationSettings {
    GenerationSettings { temperature: Some(0.0), max_tokens: Some(max_tokens), ..Default::default() }
}

/// Tokens by chance, so many of them.
pub fn seeded(seed: u64, max_tokens: u32) -> GenerationSettings {
    GenerationSettings { temperature: Some(1.0), seed: Some(seed), max_tokens: Some(max_tokens), ..Default::default() }
}

/// A request as the gateway sends it on for a tenant.
pub fn of_tenant<T>(tenant: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-torchmesh-tenant", tenant.parse().expect("a header's value"));
    request
}

/// A worker that serves these models, and nothing in front of it.
pub async fn worker(models: impl IntoIterator<Item = Model>) -> MeshSandbox {
    models.into_iter().fold(MeshSandbox::builder().gateways(0).routers(0), Builder::model).start().await
}

/// What decided one token: the highest logits with their tokens, and the logarithm of the sum of all exponentials.
#[derive(Debug, Clone)]
pub struct Scores {
    /// The highest first.
    pub tokens: Vec<u32>,
    /// Their logarithms.
    pub logprobs: Vec<f32>,
}

/// What the reference implementation made of a prompt; see `tests/golden/generation.py`.
#[derive(Debug, Clone)]
pub struct Case {
    /// Empty for a prompt that is a text.
    pub messages: Vec<ChatMessage>,
    /// The prompt, with the marks of the chat template.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The likeliest tokens, one after the other; at most 64.
    pub generated: Vec<u32>,
    /// What decided two of them, by their place.
    pub decided: [(usize, Scores); 2],
}

/// The cases of `stories` or `smollm2`.
pub fn golden(model: &str) -> Vec<Case> {
    let text = fs::read_to_string(places::repository().join("tests/golden/generation.json")).expect("the reference's answers");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    all[model]["cases"].as_array().expect("cases").iter().map(case).collect()
}

fn case(case: &Value) -> Case {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = case["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let message = |message: &Value| ChatMessage { role: text(&message["role"]), content: text(&message["content"]), ..Default::default() };
    let later = usize::try_from(case["later_at"].as_u64().expect("a place")).expect("a place");
    Case {
        messages: messages.iter().map(message).collect(),
        text: text(&case["text"]),
        tokens: ids(&case["tokens"]),
        generated: ids(&case["generated"]),
        decided: [(0, scores(&case["first"])), (later, scores(&case["later"]))],
    }
}

fn scores(told: &Value) -> Scores {
    let sum = told["sum"].as_f64().expect("a number");
    let logits = told["logits"].as_array().expect("logits").iter().filter_map(Value::as_f64);
    Scores { tokens: ids(&told["tokens"]), logprobs: logits.map(|logit| (logit - sum) as f32).collect() }
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("tokens").iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}
