//! What is said, and what may be called.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::Refusal;

/// One message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or what else the model's template knows.
    pub role: String,
    /// What is said.
    pub content: String,
    /// Of the assistant: the tools that it called.
    pub tool_calls: Vec<Call>,
    /// Of a tool: which call it answers; empty: not said.
    pub tool_call_id: String,
    /// The name of who speaks; empty: not said.
    pub name: String,
}

/// A call that the model made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Call {
    /// The call's id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// A function that may be called.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tool {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments, as text; empty: it takes none.
    pub parameters: String,
    /// Whether the arguments are held to the schema.
    pub strict: bool,
}

/// Whether a tool is called.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None is called; the model is not even shown them.
    None,
    /// At least one is called.
    Required,
    /// This one is called.
    Named(String),
}

/// What an answer is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conversation {
    /// The messages so far, one at least.
    pub messages: Vec<Message>,
    /// What may be called.
    pub tools: Vec<Tool>,
    /// Whether it is.
    pub choice: ToolChoice,
    /// Whether one answer may call several tools; `None`: it may.
    pub parallel: Option<bool>,
    /// More variables for the template, a JSON object as text; empty: none.
    pub variables: String,
}

/// Names that the template gets from elsewhere.
const TAKEN: [&str; 6] = ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token", "documents"];

impl Conversation {
    /// Whether everything that can be said without a template is right.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.messages.is_empty() {
            return Err(Refusal::new("messages", "must have at least one message"));
        }
        let mut names = HashSet::new();
        for tool in &self.tools {
            let letters = tool.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            if !letters || tool.name.is_empty() || tool.name.len() > 64 {
                return Err(Refusal::new("tools", "each name must have 1 to 64 letters, digits, `_` and `-`"));
            }
            if !names.insert(&tool.name) {
                return Err(Refusal::new("tools", format!("`{}` is there twice", tool.name)));
            }
            tool.schema()?;
        }
        match &self.choice {
            ToolChoice::Required | ToolChoice::Named(_) if self.tools.is_empty() => {
                Err(Refusal::new("tool_choice", "asks for a call, but there are no tools"))
            }
            ToolChoice::Named(name) if !names.contains(name) => Err(Refusal::new("tool_choice", format!("`{name}` is none of the tools"))),
            _ => self.extra().map(drop),
        }
    }

    /// The tools that the model is shown.
    pub fn shown(&self) -> &[Tool] {
        if self.choice == ToolChoice::None { &[] } else { &self.tools }
    }

    /// The messages as templates know them.
    pub(super) fn shown_messages(&self) -> Result<Value, Refusal> {
        self.messages.iter().enumerate().map(|(place, message)| message.shown(place)).collect()
    }

    /// The tools as templates know them; `None` where there are none.
    pub(super) fn shown_tools(&self) -> Result<Option<Value>, Refusal> {
        let tools: Vec<Value> = self.shown().iter().map(Tool::shown).collect::<Result<_, _>>()?;
        Ok((!tools.is_empty()).then(|| tools.into()))
    }

    /// The variables that the caller adds.
    pub(super) fn extra(&self) -> Result<Map<String, Value>, Refusal> {
        if self.variables.is_empty() {
            return Ok(Map::new());
        }
        let refuse = |why: String| Refusal::new("template_variables", why);
        let extra: Map<String, Value> =
            serde_json::from_str(&self.variables).map_err(|error| refuse(format!("must be a JSON object: {error}")))?;
        match TAKEN.iter().find(|&&name| extra.contains_key(name)) {
            Some(name) => Err(refuse(format!("`{name}` is given by the request"))),
            None => Ok(extra),
        }
    }
}

impl Message {
    fn shown(&self, place: usize) -> Result<Value, Refusal> {
        let mut shown = Map::new();
        shown.insert("role".to_owned(), json!(self.role));
        shown.insert("content".to_owned(), json!(self.content));
        // Templates ask whether these are there, so they are there only where they say something.
        for (key, value) in [("name", &self.name), ("tool_call_id", &self.tool_call_id)] {
            if !value.is_empty() {
                shown.insert(key.to_owned(), json!(value));
            }
        }
        if !self.tool_calls.is_empty() {
            let calls: Vec<Value> = self.tool_calls.iter().map(|call| call.shown(place)).collect::<Result<_, _>>()?;
            shown.insert("tool_calls".to_owned(), calls.into());
        }
        Ok(shown.into())
    }
}

impl Call {
    fn shown(&self, place: usize) -> Result<Value, Refusal> {
        let text = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        // Templates write the arguments as JSON themselves, so they get the object.
        let arguments: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Refusal::new("messages", format!("the arguments of a tool call of message {place} must be a JSON object: {error}"))
        })?;
        Ok(json!({"id": self.id, "type": "function", "function": {"name": self.name, "arguments": arguments}}))
    }
}

impl Tool {
    /// The schema of its arguments.
    pub(super) fn schema(&self) -> Result<Value, Refusal> {
        if self.parameters.trim().is_empty() {
            return Ok(json!({"type": "object", "properties": {}, "additionalProperties": false}));
        }
        let schema: Map<String, Value> = serde_json::from_str(&self.parameters)
            .map_err(|error| Refusal::new("tools", format!("the parameters of `{}` must be a JSON object: {error}", self.name)))?;
        Ok(schema.into())
    }

    fn shown(&self) -> Result<Value, Refusal> {
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(self.name));
        function.insert("description".to_owned(), json!(self.description));
        function.insert("parameters".to_owned(), self.schema()?);
        Ok(json!({"type": "function", "function": function}))
    }
}
