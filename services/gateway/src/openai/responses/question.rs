//! The request, as OpenAI's reference describes it; what is not named here is passed over.

use serde::{Deserialize, de::MapAccess};
use serde_json::value::RawValue;
use torchmesh_api::text::v1::{ChatRequest, Format, format::Form};

use super::{
    input::{self, Input},
    response::Response,
};
use crate::{
    bounded::AtMost,
    generation::{Fields, Refused, Settings, fields::take},
    openai::chat::tools::{self, Choice, Function},
};

/// The most tools.
pub(crate) const MAX_TOOLS: usize = 512;

/// The fields as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Question {
    model: Option<String>,
    input: Option<Input>,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    text: Option<Text>,
    tools: Option<AtMost<Tool, MAX_TOOLS>>,
    tool_choice: Option<Choice>,
    parallel_tool_calls: Option<bool>,
    stream: Option<bool>,
    background: Option<bool>,
    previous_response_id: Option<String>,
    metadata: Option<Box<RawValue>>,
    settings: Settings,
}

/// `text`: the form of the answer.
#[derive(Debug, Deserialize)]
struct Text {
    format: Option<TextFormat>,
}

/// `name` and `strict` are taken and not used: an answer is always held to its schema.
#[derive(Debug, Deserialize)]
struct TextFormat {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "strict")]
    _strict: Option<bool>,
    schema: Option<Box<RawValue>>,
}

/// A function, whose fields stand beside the type.
#[derive(Debug, Deserialize)]
struct Tool {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

impl Fields for Question {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if self.settings.take(name, map)? {
            return Ok(true);
        }
        take!(
            self,
            name,
            map,
            model,
            input,
            instructions,
            max_output_tokens,
            text,
            tools,
            tool_choice,
            parallel_tool_calls,
            stream,
            background,
            previous_response_id,
            metadata
        )
    }
}

impl Question {
    /// As the mesh has it, what the answer will say of it, and whether it is to be streamed.
    ///
    /// Error: the field that is wrong.
    pub(super) fn check(self) -> Result<(ChatRequest, Response, bool), Refused> {
        let missing = |param| move || Refused::field(param, "is missing");
        if self.previous_response_id.is_some() {
            let what = "is not supported, since nothing is stored here; send the conversation so far in input";
            return Err(Refused::field("previous_response_id", what));
        }
        if self.background == Some(true) {
            return Err(Refused::field("background", "must be false: an answer is written while its caller waits"));
        }
        let metadata = self.metadata.map(|metadata| metadata.get().to_owned());
        if metadata.as_ref().is_some_and(|metadata| !metadata.starts_with('{') && metadata != "null") {
            return Err(Refused::field("metadata", "must be an object"));
        }
        let model = self.model.ok_or_else(missing("model"))?;
        let messages = input::read(self.instructions.clone(), self.input.ok_or_else(missing("input"))?)?;
        let tools = self.tools.unwrap_or_default().0.into_iter().enumerate().map(|(at, tool)| function(at, tool));
        let tools = tools.collect::<Result<Vec<_>, _>>()?;
        let tool_choice = tools::choose(self.tool_choice, &tools)?;
        if self.max_output_tokens == Some(0) {
            return Err(Refused::field("max_output_tokens", "must be at least 1; leave it out for as many as there is room for"));
        }
        let mut settings = self.settings.check()?;
        if settings.n.is_some_and(|n| n > 1) {
            return Err(Refused::field("n", "must be 1: a response is one answer"));
        }
        settings.max_tokens = self.max_output_tokens.or(settings.max_tokens);
        if let Some(format) = self.text.and_then(|text| text.format) {
            let form = form(format)?;
            if settings.format.is_some() && form.is_some() {
                return Err(Refused::field(
                    "text.format",
                    "another field says what the answer has to look like already; send one of the two",
                ));
            }
            settings.format = form.map(|form| Format { form: Some(form) }).or(settings.format);
        }
        let asked = ChatRequest {
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls: self.parallel_tool_calls,
            settings: Some(settings),
            ..Default::default()
        };
        let response = Response::to(&asked, self.instructions.as_deref(), metadata.as_deref());
        Ok((ChatRequest { id: response.id().to_owned(), ..asked }, response, self.stream.unwrap_or_default()))
    }
}

fn function(at: usize, tool: Tool) -> Result<torchmesh_api::text::v1::Tool, Refused> {
    let place = format!("tools[{at}]");
    let Tool { kind, name, description, parameters, strict } = tool;
    if kind != "function" {
        return Err(Refused::field(format!("{place}.type"), "must be \"function\"; other tools are not supported"));
    }
    let name = name.ok_or_else(|| Refused::field(format!("{place}.name"), "is missing"))?;
    tools::function(&place, Function { name, description, parameters, strict })
}

fn form(format: TextFormat) -> Result<Option<Form>, Refused> {
    match (format.kind.as_str(), format.schema) {
        ("text", _) => Ok(None),
        ("json_object", _) => Ok(Some(Form::JsonObject(true))),
        ("json_schema", Some(schema)) if schema.get().starts_with('{') => Ok(Some(Form::JsonSchema(schema.get().to_owned()))),
        ("json_schema", _) => Err(Refused::field("text.format.schema", "must be a JSON Schema, an object")),
        _ => Err(Refused::field("text.format.type", "must be \"text\", \"json_object\" or \"json_schema\"")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::generation::fields::parse;

    fn check(rest: &Value) -> Result<(ChatRequest, Response, bool), Refused> {
        let mut body = json!({ "model": "m", "input": "hi" });
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        parse::<Question>(body.to_string().as_bytes()).and_then(Question::check)
    }

    #[test]
    fn a_conversation_of_items_becomes_one_of_messages() {
        let items = json!([
            { "role": "developer", "content": "Be short." },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "a" }, { "type": "input_text", "text": "b" }] },
            { "type": "reasoning", "id": "r", "summary": [] },
            { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look.", "annotations": [] }] },
            { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}" },
            { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "4" },
            { "type": "function_call_output", "call_id": "c2", "output": [{ "type": "input_text", "text": "5" }] },
        ]);
        let (asked, _, stream) =
            check(&json!({ "input": items, "instructions": "Speak German.", "max_output_tokens": 9, "top_k": 3 })).unwrap();
        let told: Vec<_> = asked
            .messages
            .iter()
            .map(|message| format!("{}|{}|{}|{}", message.role, message.content, message.tool_calls.len(), message.tool_call_id))
            .collect();
        let wanted =
            ["system|Speak German.|0|", "system|Be short.|0|", "user|a\nb|0|", "assistant|I look.|2|", "tool|4|0|c1", "tool|5|0|c2"];
        assert_eq!((told, stream), (wanted.map(str::to_owned).to_vec(), false));
        let settings = asked.settings.unwrap();
        assert_eq!((settings.max_tokens, settings.top_k), (Some(9), Some(3)));
    }

    #[test]
    fn a_field_that_cannot_be_taken_is_named() {
        for (rest, param) in [
            (json!({ "previous_response_id": "resp_1" }), "previous_response_id"),
            (json!({ "background": true }), "background"),
            (json!({ "metadata": 3 }), "metadata"),
            (json!({ "input": [] }), "input"),
            (json!({ "input": [{ "role": "user" }] }), "input[0].content"),
            (json!({ "input": [{ "type": "item_reference", "id": "x" }] }), "input[0].type"),
            (json!({ "input": [{ "role": "user", "content": [{ "type": "input_image" }] }] }), "input[0].content[0]"),
            (json!({ "input": [{ "type": "function_call", "name": "f" }] }), "input[0].call_id"),
            (json!({ "input": [{ "type": "function_call_output", "output": "4" }] }), "input[0].call_id"),
            (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
            (json!({ "tools": [{ "type": "function" }] }), "tools[0].name"),
            (json!({ "tools": [{ "type": "function", "name": "f", "parameters": 3 }] }), "tools[0].parameters"),
            (json!({ "tool_choice": { "type": "function", "name": "f" } }), "tool_choice"),
            (json!({ "text": { "format": { "type": "json_schema" } } }), "text.format.schema"),
            (json!({ "text": { "format": { "type": "xml" } } }), "text.format.type"),
            (json!({ "max_output_tokens": 0 }), "max_output_tokens"),
            (json!({ "temperature": 3 }), "temperature"),
            (json!({ "n": 2 }), "n"),
        ] {
            assert_eq!(check(&rest).unwrap_err().param.as_deref(), Some(param), "{rest}");
        }
    }

    proptest! {
        #[test]
        fn no_value_of_any_field_makes_it_panic(
            name in "input|tools|tool_choice|text|metadata|instructions|stream|max_output_tokens",
            value in r#"(\{|\[|"|[0-9a-z:,.\-]|\}|\]|"type"|"message"|"content"|"format"|null|true|1e400|-1){0,12}"#,
        ) {
            let json = format!(r#"{{"model":"m","input":"a","{name}":{value}}}"#);
            let _ = parse::<Question>(json.as_bytes()).and_then(Question::check);
        }
    }
}
