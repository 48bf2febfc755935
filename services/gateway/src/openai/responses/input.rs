//! The conversation so far: a text, or a list of items.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use torchmesh_api::text::v1::{ChatMessage, ToolCall};

use crate::{
    bounded::AtMost,
    generation::Refused,
    openai::chat::messages::{Content, text},
};

/// The most items.
pub(crate) const MAX_ITEMS: usize = 16_384;
/// The kinds of parts that are texts; what a model has said is sent back as `output_text`.
const TEXTS: [&str; 3] = ["input_text", "output_text", "text"];

/// What is sent.
#[derive(Debug)]
pub(crate) enum Input {
    Text(String),
    Items(Vec<Item>),
}

/// An item of any type: each has fields of its own.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    content: Option<Content>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    output: Option<Content>,
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Input;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of items")
            }
            fn visit_str<E>(self, text: &str) -> Result<Input, E> {
                Ok(Input::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Input, A::Error> {
                AtMost::<Item, MAX_ITEMS>::deserialize(SeqAccessDeserializer::new(items)).map(|items| Input::Items(items.0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// As messages, the instructions in front.
///
/// Error: the item that cannot be taken.
pub(super) fn read(instructions: Option<String>, input: Input) -> Result<Vec<ChatMessage>, Refused> {
    let said = |role: &str, content: String| ChatMessage { role: role.to_owned(), content, ..Default::default() };
    let mut messages: Vec<ChatMessage> = instructions.map(|text| said("system", text)).into_iter().collect();
    match input {
        Input::Text(text) => messages.push(said("user", text)),
        Input::Items(items) if items.is_empty() => return Err(Refused::field("input", "is empty; send a text or at least one item")),
        Input::Items(items) => {
            for (at, item) in items.into_iter().enumerate() {
                one(at, item, &mut messages)?;
            }
        }
    }
    Ok(messages)
}

fn one(at: usize, item: Item, messages: &mut Vec<ChatMessage>) -> Result<(), Refused> {
    let place = |field: &str| format!("input[{at}].{field}");
    let missing = |field: &'static str| move || Refused::field(format!("input[{at}].{field}"), "is missing");
    match item.kind.as_deref().unwrap_or("message") {
        "message" => {
            let role = item.role.ok_or_else(missing("role"))?;
            let content = text(&place("content"), item.content.ok_or_else(missing("content"))?, &TEXTS)?;
            let role = if role == "developer" { "system".to_owned() } else { role };
            messages.push(ChatMessage { role, content, ..Default::default() });
        }
        "function_call" => {
            let call = ToolCall {
                id: item.call_id.ok_or_else(missing("call_id"))?,
                name: item.name.ok_or_else(missing("name"))?,
                arguments: item.arguments.unwrap_or_default(),
            };
            // Calls belong to the message that they come with.
            match messages.last_mut().filter(|last| last.role == "assistant") {
                Some(last) => last.tool_calls.push(call),
                None => messages.push(ChatMessage { role: "assistant".to_owned(), tool_calls: vec![call], ..Default::default() }),
            }
        }
        "function_call_output" => {
            let tool_call_id = item.call_id.ok_or_else(missing("call_id"))?;
            let content = text(&place("output"), item.output.ok_or_else(missing("output"))?, &TEXTS)?;
            messages.push(ChatMessage { role: "tool".to_owned(), content, tool_call_id, ..Default::default() });
        }
        // What a model has thought is not told to it again.
        "reasoning" => {}
        kind => {
            let kind: String = kind.chars().take(32).collect();
            let what = format!("{kind:?} is not supported; send \"message\", \"function_call\" or \"function_call_output\"");
            return Err(Refused::field(place("type"), what));
        }
    }
    Ok(())
}
