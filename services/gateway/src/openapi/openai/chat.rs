//! Conversations.

use serde_json::{Value, json};

use super::{
    TAG,
    answers::{around, event, finish_reason, usage_in_chunk},
    settings::settings,
};
use crate::{
    generation::settings::MAX_LIKELIEST,
    openai::chat::{
        messages::{MAX_CALLS, MAX_PARTS},
        question::{MAX_MESSAGES, MAX_TOOLS},
        tools::MAX_NAME,
    },
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
};

const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let ask = |text: &str, more: Value| {
        let mut body = json!({ "model": "smollm2", "messages": [{ "role": "user", "content": text }], "max_tokens": 16 });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    };
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string", "maxLength": 8 } }, "required": ["name"], "additionalProperties": false });
    let form = json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "city", "schema": schema } } });
    let operation = Operation::post("/v1/chat/completions", "createChatCompletion", TAG)
        .says(
            "The next message of a conversation",
            "For models of the task `generate`, whole or as it is written. Hanging up ends the writing at once.",
        )
        .body(JSON, Schema::named("ChatRequest"))
        .example(JSON, "whole", "A whole answer", ask("Why is the sky blue?", json!({ "temperature": 0 })))
        .example(
            JSON,
            "stream",
            "As it is written",
            ask("Name a colour.", json!({ "stream": true, "stream_options": { "include_usage": true } })),
        )
        .example(JSON, "form", "An answer of a given form", ask("A city of Germany?", form))
        .example(
            JSON,
            "likeliest",
            "What else was likely",
            ask("Good or bad?", json!({ "logprobs": true, "top_logprobs": 2, "n": 2, "seed": 7 })),
        )
        .gives("The answer, or its events where `stream` is true.", Schema::named("ChatCompletion"))
        .answers(200, "", [("text/event-stream", event("ChatCompletionChunk", "OpenAiError"))]);
    vec![operation]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("ChatRequest", request()),
        ("ChatMessage", message()),
        ("ChatTool", tool()),
        ("ChatCompletion", whole()),
        ("ChatCompletionChunk", chunk()),
        ("ChatLogprobs", logprobs()),
    ]
}

fn request() -> Schema {
    let named = Object::new("A function.").must("name", Schema::text("Its name, which is in `tools`."));
    let function =
        Object::new("A function that has to be called.").must("type", Schema::always("function")).must("function", named.schema());
    let choice = Schema::either(
        [Schema::word(&["auto", "none", "required"], "Whether a function is called."), function.schema()],
        "Which functions may or must be called.",
    );
    Object::new("A conversation, and how it goes on.")
        .must("model", Schema::text("A model of the task `generate`."))
        .must("messages", Schema::list(Schema::named("ChatMessage"), "What was said.").at_least(1).at_most(MAX_MESSAGES))
        .maybe(
            "tools",
            Schema::list(Schema::named("ChatTool"), "What may be called; of models whose chat template shows tools.").at_most(MAX_TOOLS),
        )
        .maybe("tool_choice", choice)
        .maybe("parallel_tool_calls", Schema::flag("Whether one answer may have several calls."))
        .maybe("logprobs", Schema::flag("Whether the logarithm of each token is told.").default(false))
        .maybe(
            "top_logprobs",
            Schema::count("So many of the likeliest tokens at each place; with `logprobs` only.").between(0..=MAX_LIKELIEST),
        )
        .maybe("stream", Schema::flag("Whether the answer comes as it is written.").default(false))
        .maybe("stream_options", Schema::named("StreamOptions"))
        .maybe("chat_template_kwargs", Schema::map(Schema::any("Any value."), "More variables for the model's chat template."))
        .with(settings())
        .schema()
}

fn message() -> Schema {
    let part = Object::new("A part; only those of the type `text` are taken.")
        .must("type", Schema::text("Always `text`."))
        .maybe("text", Schema::text("The text."));
    let content = Schema::either(
        [Schema::text("A text."), Schema::list(part.schema(), "Parts, which stand line by line.").at_most(MAX_PARTS)],
        "What is said; may be left out of a message that is nothing but calls.",
    );
    let function = Object::new("What is called.")
        .must("name", Schema::text("Its name."))
        .maybe("arguments", Schema::text("An object of JSON, as a text."));
    let call = Object::new("A call.").maybe("id", Schema::text("Its id.")).must("function", function.schema());
    Object::new("Something that was said.")
        .must(
            "role",
            Schema::text("`system` (also as `developer`), `user`, `assistant`, `tool`, and what else the model's template knows.").some(),
        )
        .maybe("content", content)
        .maybe("name", Schema::text("Who says it."))
        .maybe("tool_calls", Schema::list(call.schema(), "Calls that the assistant made.").at_most(MAX_CALLS))
        .maybe("tool_call_id", Schema::text("Which call this answers; a message of the role `tool` must say it."))
        .schema()
}

fn tool() -> Schema {
    let function = Object::new("The function.")
        .must("name", Schema::text("Letters, digits, `_` and `-`.").some().no_longer(MAX_NAME).looks("^[A-Za-z0-9_-]+$"))
        .maybe("description", Schema::text("What it does."))
        .maybe("parameters", Schema::map(Schema::any("As JSON Schema has it."), "A JSON Schema of its arguments."))
        .maybe("strict", Schema::flag("Whether the arguments are held to the schema.").default(false));
    Object::new("Something that may be called.")
        .must("type", Schema::text("Always `function`."))
        .maybe("function", function.schema().says("The function, which must be there."))
        .schema()
}

fn whole() -> Schema {
    let function = Object::new("What is called.")
        .must("name", Schema::text("Its name."))
        .must("arguments", Schema::text("An object of JSON, as a text."));
    let call = Object::new("A call.")
        .must("id", Schema::text("Its id."))
        .must("type", Schema::always("function"))
        .must("function", function.schema());
    let message = Object::new("What is said.")
        .must("role", Schema::always("assistant"))
        .must("content", Schema::text("The text; null of a message that is nothing but calls.").or_null())
        .must("refusal", Schema::null("Always null."))
        .may("tool_calls", Schema::list(call.schema(), "Calls, where there are any."));
    let choice = Object::new("An answer.")
        .must("index", Schema::count("Which of the `n` answers."))
        .must("message", message.schema())
        .must("logprobs", Schema::named("ChatLogprobs").or_null())
        .must("finish_reason", finish_reason());
    around("An answer.", "chat.completion", choice.schema()).must("usage", Schema::named("Usage")).schema()
}

fn chunk() -> Schema {
    let function = Object::new("What is called.")
        .may("name", Schema::text("Its name, once."))
        .must("arguments", Schema::text("What the arguments go on with."));
    let call = Object::new("A piece of a call.")
        .must("index", Schema::count("Which call."))
        .may("id", Schema::text("Its id, once."))
        .may("type", Schema::always("function"))
        .must("function", function.schema());
    let delta = Object::new("What is new.")
        .may("role", Schema::always("assistant"))
        .may("content", Schema::text("What the text goes on with.").or_null())
        .may("tool_calls", Schema::list(call.schema(), "What the calls go on with."));
    let choice = Object::new("A piece of an answer.")
        .must("index", Schema::count("Which of the `n` answers."))
        .must("delta", delta.schema())
        .must("logprobs", Schema::named("ChatLogprobs").or_null())
        .must("finish_reason", finish_reason());
    around("A piece of an answer.", "chat.completion.chunk", choice.schema()).may("usage", usage_in_chunk()).schema()
}

fn logprobs() -> Schema {
    let token = |what: &str| {
        Object::new(what)
            .must("token", Schema::text("Its text."))
            .must("bytes", Schema::list(Schema::whole("A byte.").between(0..=255), "Its bytes."))
            .must("logprob", Schema::number("The logarithm of its probability; -9999 stands for none."))
    };
    let likely = Schema::list(token("A token that was likely.").schema(), "The likeliest tokens at this place.");
    Object::new("The tokens with their logarithms.")
        .must("content", Schema::list(token("A token.").must("top_logprobs", likely).schema(), "The tokens."))
        .must("refusal", Schema::null("Always null."))
        .schema()
}
