//! The form that an answer is held to, in the words of OpenAI and of vLLM.

use serde::Deserialize;
use serde_json::value::RawValue;
use torchmesh_api::text::v1::{Choices, Format, format::Form};

use super::Refused;
use crate::bounded::AtMost;

/// The most texts of which one is to be chosen.
pub(crate) const MAX_CHOICES: usize = 1024;

/// `response_format`, as OpenAI has it.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<JsonSchema>,
}

/// `name` and `strict` are taken and not used: an answer is always held to its schema.
#[derive(Debug, Deserialize)]
struct JsonSchema {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "strict")]
    _strict: Option<bool>,
    schema: Option<Box<RawValue>>,
}

/// `structured_outputs`, as vLLM has it.
#[derive(Debug, Deserialize)]
pub(super) struct StructuredOutputs {
    json: Option<Box<RawValue>>,
    regex: Option<String>,
    grammar: Option<String>,
    choice: Option<AtMost<String, MAX_CHOICES>>,
    json_object: Option<bool>,
}

impl ResponseFormat {
    pub(super) fn read(self) -> Result<Option<Form>, Refused> {
        match (self.kind.as_str(), self.json_schema) {
            ("text", _) => Ok(None),
            ("json_object", _) | ("json_schema", Some(JsonSchema { schema: None, .. })) => Ok(Some(Form::JsonObject(true))),
            ("json_schema", None) => Err(Refused::field("response_format.json_schema", "is missing; send {\"name\": …, \"schema\": {…}}")),
            ("json_schema", Some(JsonSchema { schema: Some(schema), .. })) => {
                schema_text(&schema, "response_format.json_schema.schema").map(|schema| Some(Form::JsonSchema(schema)))
            }
            _ => Err(Refused::field("response_format.type", "must be \"text\", \"json_object\" or \"json_schema\"")),
        }
    }
}

impl StructuredOutputs {
    /// Each of them that is there, with its place.
    pub(super) fn read(self) -> Result<Vec<(&'static str, Form)>, Refused> {
        let mut all = Vec::new();
        if let Some(schema) = self.json {
            all.push(("structured_outputs.json", Form::JsonSchema(schema_text(&schema, "structured_outputs.json")?)));
        }
        all.extend(self.regex.map(|regex| ("structured_outputs.regex", Form::Regex(regex))));
        all.extend(self.grammar.map(|grammar| ("structured_outputs.grammar", Form::Grammar(grammar))));
        all.extend(self.choice.map(|texts| ("structured_outputs.choice", choices(texts.0))));
        all.extend(self.json_object.filter(|&wanted| wanted).map(|_| ("structured_outputs.json_object", Form::JsonObject(true))));
        Ok(all)
    }
}

pub(super) fn choices(texts: Vec<String>) -> Form {
    Form::Choices(Choices { texts })
}

/// A JSON Schema's text: an object, or a text that holds one, as vLLM's clients send it too.
pub(super) fn schema_text(schema: &RawValue, param: &str) -> Result<String, Refused> {
    let text = if schema.get().starts_with('"') { serde_json::from_str(schema.get()).unwrap_or_default() } else { schema.get().to_owned() };
    if text.trim_start().starts_with('{') { Ok(text) } else { Err(Refused::field(param, "must be a JSON Schema, an object")) }
}

/// The one form that is wanted: an answer cannot be held to two.
pub(super) fn only(forms: Vec<(&'static str, Form)>) -> Result<Option<Format>, Refused> {
    let mut forms = forms.into_iter();
    let first = forms.next();
    match (first, forms.next()) {
        (Some((one, _)), Some((other, _))) => {
            Err(Refused::field(other, format!("{one} says what the answer has to look like already; send one of the two")))
        }
        (first, _) => Ok(first.map(|(_, form)| Format { form: Some(form) })),
    }
}
