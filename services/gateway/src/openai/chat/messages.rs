//! The conversation.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use torchmesh_api::text::v1::{ChatMessage, ToolCall};

use crate::{bounded::AtMost, generation::Refused};

/// The most parts of one message.
pub(crate) const MAX_PARTS: usize = 4096;
/// The most calls of one message.
pub(crate) const MAX_CALLS: usize = 256;

/// A message as it is sent.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    role: String,
    content: Option<Content>,
    name: Option<String>,
    tool_calls: Option<AtMost<Call, MAX_CALLS>>,
    tool_call_id: Option<String>,
}

/// A text, or a list of parts.
#[derive(Debug)]
pub(in crate::openai) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of a message.
#[derive(Debug, Deserialize)]
pub(in crate::openai) struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    arguments: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of parts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                AtMost::<Part, MAX_PARTS>::deserialize(SeqAccessDeserializer::new(parts)).map(|parts| Content::Parts(parts.0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// As the mesh has them.
///
/// Error: the message, or its part, that cannot be taken.
pub(super) fn read(messages: Vec<Message>) -> Result<Vec<ChatMessage>, Refused> {
    if messages.is_empty() {
        return Err(Refused::field("messages", "is empty; send at least one message"));
    }
    messages.into_iter().enumerate().map(|(at, message)| one(at, message)).collect()
}

fn one(at: usize, message: Message) -> Result<ChatMessage, Refused> {
    let place = |field: &str| format!("messages[{at}].{field}");
    let Message { role, content, name, tool_calls, tool_call_id } = message;
    let calls = tool_calls.unwrap_or_default().0;
    if role.is_empty() {
        return Err(Refused::field(place("role"), "is empty; send system, user, assistant or tool"));
    }
    if content.is_none() && calls.is_empty() {
        return Err(Refused::field(place("content"), "is missing; send a text"));
    }
    if role == "tool" && tool_call_id.is_none() {
        return Err(Refused::field(place("tool_call_id"), "is missing; send the id of the call that this message answers"));
    }
    let content = content.map(|content| text(&place("content"), content, &["text"])).transpose()?.unwrap_or_default();
    let tool_calls = calls.into_iter().map(|call| ToolCall {
        id: call.id.unwrap_or_default(),
        name: call.function.name,
        arguments: call.function.arguments.unwrap_or_default(),
    });
    Ok(ChatMessage {
        role: if role == "developer" { "system".to_owned() } else { role },
        content,
        tool_calls: tool_calls.collect(),
        tool_call_id: tool_call_id.unwrap_or_default(),
        name: name.unwrap_or_default(),
    })
}

/// The text of a message; that of its parts, which must be of one of these kinds, stands line by line.
pub(in crate::openai) fn text(place: &str, content: Content, kinds: &[&str]) -> Result<String, Refused> {
    let parts = match content {
        Content::Text(text) => return Ok(text),
        Content::Parts(parts) => parts,
    };
    let part = |(number, part): (usize, Part)| {
        let place = format!("{place}[{number}]");
        let Part { kind, text } = part;
        if !kinds.contains(&kind.as_str()) {
            let kind: String = kind.chars().take(32).collect();
            return Err(Refused::field(place, format!("the type {kind:?} is not supported; send parts of the type {:?}", kinds[0])));
        }
        text.ok_or_else(|| Refused::field(place, format!("a part of the type {kind:?} must have a text in text")))
    };
    let texts: Vec<String> = parts.into_iter().enumerate().map(part).collect::<Result<_, _>>()?;
    Ok(texts.join("\n"))
}
