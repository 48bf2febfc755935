//! The answer as a whole: a `response`, which says also what was asked.

use serde_json::{Value, json};
use torchmesh_api::{
    error::ApiError,
    text::v1::{ChatRequest, Format, GenerationSettings, ToolChoice, format::Form, tool_choice::Choice},
};

use super::output::Output;
use crate::openai::stamp::Stamp;

/// All of it but the items.
#[derive(Debug)]
pub(super) struct Response {
    stamp: Stamp,
    model: String,
    /// What was asked, in OpenAI's form.
    asked: Value,
    metadata: Value,
}

/// How far it is.
#[derive(Debug, Clone)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// It is as long as it may be.
    Cut,
    Failed(ApiError),
}

impl Status {
    /// Of an answer of which nothing more comes.
    pub(super) fn of(output: &Output) -> Self {
        if output.cut { Self::Cut } else { Self::Completed }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cut => "incomplete",
            Self::Failed(_) => "failed",
        }
    }
}

impl Response {
    /// The answer to this question. `metadata` is JSON of the caller's own, which is told again.
    pub(super) fn to(asked: &ChatRequest, instructions: Option<&str>, metadata: Option<&str>) -> Self {
        let settings = asked.settings.clone().unwrap_or_default();
        let told = json!({
            "instructions": instructions,
            "max_output_tokens": settings.max_tokens,
            "parallel_tool_calls": asked.parallel_tool_calls.unwrap_or(true),
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "text": { "format": format(&settings) },
            "tool_choice": tool_choice(asked.tool_choice.as_ref()),
            "tools": asked.tools.iter().map(tool).collect::<Vec<_>>(),
        });
        let metadata = metadata.and_then(|metadata| serde_json::from_str(metadata).ok()).filter(|value: &Value| !value.is_null());
        let metadata = metadata.unwrap_or_else(|| json!({}));
        Self { stamp: Stamp::new("resp_"), model: asked.model.clone(), asked: told, metadata }
    }

    pub(super) fn id(&self) -> &str {
        &self.stamp.id
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// The model that answers, once it is known.
    pub(super) fn answered_by(&mut self, model: &str) {
        if !model.is_empty() {
            model.clone_into(&mut self.model);
        }
    }

    /// In OpenAI's form.
    pub(super) fn shown(&self, status: Status, output: &Output) -> Value {
        let over = !matches!(status, Status::InProgress);
        let mut shown = json!({
            "id": self.stamp.id,
            "object": "response",
            "created_at": self.stamp.created,
            "status": status.name(),
            "background": false,
            "error": null,
            "incomplete_details": matches!(status, Status::Cut).then(|| json!({ "reason": "max_output_tokens" })),
            "model": self.model,
            "output": if over { output.shown() } else { vec![] },
            "previous_response_id": null,
            "store": false,
            "truncation": "disabled",
            "usage": (over && !matches!(status, Status::Failed(_))).then(|| usage(output)),
            "metadata": self.metadata,
        });
        if let (Value::Object(shown), Value::Object(asked)) = (&mut shown, &self.asked) {
            shown.extend(asked.clone());
        }
        if let Status::Failed(error) = status {
            shown["error"] = json!({ "code": "server_error", "message": error.message });
        }
        shown
    }
}

fn usage(output: &Output) -> Value {
    let used = &output.usage;
    json!({
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": { "cached_tokens": used.cached_tokens, "cache_write_tokens": 0 },
        "output_tokens": used.completion_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": u64::from(used.prompt_tokens) + u64::from(used.completion_tokens),
    })
}

fn format(settings: &GenerationSettings) -> Value {
    match settings.format.as_ref() {
        Some(Format { form: Some(Form::JsonObject(_)) }) => json!({ "type": "json_object" }),
        Some(Format { form: Some(Form::JsonSchema(schema)) }) => json!({ "type": "json_schema", "name": "answer", "schema": raw(schema) }),
        _ => json!({ "type": "text" }),
    }
}

fn tool(tool: &torchmesh_api::text::v1::Tool) -> Value {
    let parameters = if tool.parameters.is_empty() { Value::Null } else { raw(&tool.parameters) };
    json!({
        "type": "function", "name": tool.name, "description": tool.description, "parameters": parameters, "strict": tool.strict,
    })
}

fn tool_choice(choice: Option<&ToolChoice>) -> Value {
    match choice.and_then(|choice| choice.choice.as_ref()) {
        Some(Choice::None(true)) => json!("none"),
        Some(Choice::Required(true)) => json!("required"),
        Some(Choice::Name(name)) => json!({ "type": "function", "name": name }),
        _ => json!("auto"),
    }
}

/// JSON that was sent; it was read once already.
fn raw(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
