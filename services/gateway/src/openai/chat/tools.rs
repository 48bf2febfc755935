//! The functions that the model may ask to be called, and whether it has to.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;
use torchmesh_api::text::v1::{Tool as Told, ToolChoice, tool_choice};

use crate::generation::Refused;

/// The longest name of a function, in bytes.
pub(crate) const MAX_NAME: usize = 64;

/// A tool as it is sent.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type")]
    kind: String,
    function: Option<Function>,
}

/// What a function is.
#[derive(Debug, Deserialize)]
pub(in crate::openai) struct Function {
    pub(in crate::openai) name: String,
    pub(in crate::openai) description: Option<String>,
    pub(in crate::openai) parameters: Option<Box<RawValue>>,
    pub(in crate::openai) strict: Option<bool>,
}

/// `tool_choice`: a word, or the name of a tool.
#[derive(Debug)]
pub(in crate::openai) enum Choice {
    Word(String),
    Named(Named),
}

/// A function by its name: in an object of its own for conversations, beside the type for responses.
#[derive(Debug, Deserialize)]
pub(in crate::openai) struct Named {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    function: Option<NamedFunction>,
}

#[derive(Debug, Deserialize)]
struct NamedFunction {
    name: String,
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Choice;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\", \"none\", \"required\" or a named function")
            }
            fn visit_str<E>(self, word: &str) -> Result<Choice, E> {
                Ok(Choice::Word(word.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Choice, A::Error> {
                Named::deserialize(MapAccessDeserializer::new(map)).map(Choice::Named)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// As the mesh has them.
///
/// Error: the tool that cannot be taken.
pub(super) fn read(tools: Vec<Tool>) -> Result<Vec<Told>, Refused> {
    tools.into_iter().enumerate().map(|(at, tool)| one(at, tool)).collect()
}

fn one(at: usize, tool: Tool) -> Result<Told, Refused> {
    let place = |field: &str| format!("tools[{at}].{field}");
    if tool.kind != "function" {
        return Err(Refused::field(place("type"), "must be \"function\"; other tools are not supported"));
    }
    let missing = || Refused::field(place("function"), "is missing; send {\"name\": …, \"parameters\": {…}}");
    function(&place("function"), tool.function.ok_or_else(missing)?)
}

/// As the mesh has it.
///
/// Error: the field, whose place begins with `place`, that cannot be taken.
pub(in crate::openai) fn function(place: &str, function: Function) -> Result<Told, Refused> {
    let place = |field: &str| format!("{place}.{field}");
    let Function { name, description, parameters, strict } = function;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(letter) {
        return Err(Refused::field(place("name"), format!("must be 1 to {MAX_NAME} letters, digits, _ and -")));
    }
    let parameters = parameters.map(|parameters| parameters.get().to_owned()).unwrap_or_default();
    if !parameters.is_empty() && !parameters.starts_with('{') {
        return Err(Refused::field(place("parameters"), "must be a JSON Schema, an object"));
    }
    Ok(Told { name, description: description.unwrap_or_default(), parameters, strict: strict.unwrap_or_default() })
}

/// Which tools may or must be called.
///
/// Error: a choice that there is not, or of tools that there are not.
pub(in crate::openai) fn choose(choice: Option<Choice>, tools: &[Told]) -> Result<Option<ToolChoice>, Refused> {
    let wrong = |what: &str| Err(Refused::field("tool_choice", what));
    let choice = match choice {
        None => return Ok(None),
        Some(Choice::Word(word)) => match word.as_str() {
            "none" => tool_choice::Choice::None(true),
            "auto" => tool_choice::Choice::Auto(true),
            "required" => tool_choice::Choice::Required(true),
            _ => return wrong("must be \"auto\", \"none\", \"required\" or {\"type\": \"function\", \"function\": {\"name\": …}}"),
        },
        Some(Choice::Named(Named { kind, name: Some(name), .. } | Named { kind, function: Some(NamedFunction { name }), .. }))
            if kind == "function" =>
        {
            if tools.iter().all(|tool| tool.name != name) {
                return wrong("names a function that is not in tools");
            }
            tool_choice::Choice::Name(name)
        }
        Some(Choice::Named(_)) => {
            return wrong("must be {\"type\": \"function\", \"function\": {\"name\": …}}; other types are not supported");
        }
    };
    if tools.is_empty() && choice != tool_choice::Choice::None(true) {
        // Some clients write the default out.
        return if choice == tool_choice::Choice::Auto(true) { Ok(None) } else { wrong("there are no tools to choose from; send tools") };
    }
    Ok(Some(ToolChoice { choice: Some(choice) }))
}
