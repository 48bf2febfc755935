//! Answers as lists of items.

use serde_json::json;

use super::{TAG, answers::tokens, settings::settings};
use crate::{
    openai::{
        chat::{messages::MAX_PARTS, tools::MAX_NAME},
        responses::{input::MAX_ITEMS, question::MAX_TOOLS},
    },
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
};

const JSON: &str = "application/json";
/// What is said of events.
const EVENT: &str = "The next of the events, whose name is its `type`. The last one is `response.completed`, `response.incomplete` or `response.failed`, \
                     and has the answer in `response`.";

pub(super) fn operations() -> Vec<Operation> {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string", "maxLength": 8 } }, "required": ["name"], "additionalProperties": false });
    let items = json!([
        { "role": "user", "content": [{ "type": "input_text", "text": "Name a colour." }] },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Red." }] },
        { "role": "user", "content": "Another one." },
    ]);
    let operation = Operation::post("/v1/responses", "createResponse", TAG)
        .says(
            "An answer as a list of items",
            "A conversation in OpenAI's newer form, for models of the task `generate`, whole or as it is written. Nothing is stored: what was said \
             before is sent again in `input`.",
        )
        .body(JSON, Schema::named("ResponsesRequest"))
        .example(JSON, "whole", "A whole answer", json!({ "model": "smollm2", "input": "Why is the sky blue?", "max_output_tokens": 16 }))
        .example(
            JSON,
            "items",
            "A conversation that goes on",
            json!({ "model": "smollm2", "instructions": "Be short.", "input": items, "max_output_tokens": 8, "metadata": { "from": "docs" } }),
        )
        .example(
            JSON,
            "form",
            "An answer of a given form",
            json!({ "model": "smollm2", "input": "A city of Germany?", "max_output_tokens": 24,
                "text": { "format": { "type": "json_schema", "name": "city", "schema": schema } } }),
        )
        .example(
            JSON,
            "stream",
            "As it is written",
            json!({ "model": "smollm2", "input": "Name a colour.", "max_output_tokens": 8, "stream": true }),
        )
        .gives("The answer, or its events where `stream` is true.", Schema::named("Response"))
        .answers(200, "", [("text/event-stream", Schema::event(Schema::named("ResponseEvent"), None, EVENT))]);
    vec![operation]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("ResponsesRequest", request()),
        ("ResponsesItem", item_in()),
        ("ResponsesTool", tool()),
        ("Response", whole()),
        ("ResponseItem", item_out()),
        ("ResponseEvent", event()),
    ]
}

fn request() -> Schema {
    let input = Schema::either(
        [
            Schema::text("What the user says."),
            Schema::list(Schema::named("ResponsesItem"), "What was said and done.").at_least(1).at_most(MAX_ITEMS),
        ],
        "The conversation so far.",
    );
    let named = Object::new("A function that has to be called.")
        .must("type", Schema::always("function"))
        .must("name", Schema::text("Its name, which is in `tools`."));
    let choice = Schema::either(
        [Schema::word(&["auto", "none", "required"], "Whether a function is called."), named.schema()],
        "Which functions may or must be called.",
    );
    let format = Object::new("What the answer has to look like.")
        .must("type", Schema::word(&["text", "json_object", "json_schema"], "Which form."))
        .maybe("name", Schema::text("Taken and not used."))
        .maybe("strict", Schema::flag("Taken and not used: an answer is always held to its schema."))
        .maybe("schema", Schema::map(Schema::any("As JSON Schema has it."), "A JSON Schema, of the type `json_schema`."));
    let text = Object::new("About the text.").maybe("format", format.schema());
    Object::new("A conversation, and how it goes on.")
        .must("model", Schema::text("A model of the task `generate`."))
        .must("input", input)
        .maybe("instructions", Schema::text("What the model is told in front of the conversation."))
        .maybe("max_output_tokens", Schema::count("The most tokens of the answer; absent: as many as there is room for.").from(1))
        .maybe("text", text.schema())
        .maybe(
            "tools",
            Schema::list(Schema::named("ResponsesTool"), "What may be called; of models whose chat template shows tools.")
                .at_most(MAX_TOOLS),
        )
        .maybe("tool_choice", choice)
        .maybe("parallel_tool_calls", Schema::flag("Whether one answer may have several calls."))
        .maybe("stream", Schema::flag("Whether the answer comes as it is written.").default(false))
        .maybe("background", Schema::flag("Refused where it is true: an answer is written while its caller waits.").default(false))
        .maybe("previous_response_id", Schema::text("Refused: nothing is stored. Send the conversation so far in `input`."))
        .maybe("metadata", Schema::map(Schema::any("Any value."), "The answer has it again."))
        .with(settings())
        .schema()
}

fn item_in() -> Schema {
    let part = || {
        Object::new("A part; only texts are taken.")
            .must("type", Schema::text("`input_text`, `output_text` or `text`."))
            .maybe("text", Schema::text("The text."))
            .schema()
    };
    let content = |what: &str| {
        Schema::either([Schema::text("A text."), Schema::list(part(), "Parts, which stand line by line.").at_most(MAX_PARTS)], what)
    };
    Object::new("Something that was said or done.")
        .maybe(
            "type",
            Schema::text(
                "`message`, which it is without a type, `function_call`, `function_call_output`, or `reasoning`, which is passed over.",
            ),
        )
        .maybe("role", Schema::text("Of a message: `user`, `assistant`, `system` (also as `developer`)."))
        .maybe("content", content("Of a message: what is said."))
        .maybe("call_id", Schema::text("Of a call and of its output: which call."))
        .maybe("name", Schema::text("Of a call: the function."))
        .maybe("arguments", Schema::text("Of a call: an object of JSON, as a text."))
        .maybe("output", content("Of a call's output: what the function gave."))
        .schema()
}

fn tool() -> Schema {
    Object::new("Something that may be called.")
        .must("type", Schema::text("Always `function`."))
        .maybe("name", Schema::text("Letters, digits, `_` and `-`; it must be there.").some().no_longer(MAX_NAME).looks("^[A-Za-z0-9_-]+$"))
        .maybe("description", Schema::text("What it does."))
        .maybe("parameters", Schema::map(Schema::any("As JSON Schema has it."), "A JSON Schema of its arguments."))
        .maybe("strict", Schema::flag("Whether the arguments are held to the schema.").default(false))
        .schema()
}

fn status() -> Schema {
    Schema::word(&["in_progress", "completed", "incomplete"], "How far it is.")
}

fn text_part() -> Schema {
    Object::new("The text.")
        .must("type", Schema::always("output_text"))
        .must("text", Schema::text("The text."))
        .must("annotations", Schema::list(Schema::any("None."), "Always empty."))
        .must("logprobs", Schema::list(Schema::any("None."), "Always empty."))
        .schema()
}

fn item_out() -> Schema {
    let message = Object::new("Something that the model says.")
        .must("type", Schema::always("message"))
        .must("id", Schema::text("The item's id."))
        .must("status", status())
        .must("role", Schema::always("assistant"))
        .must("content", Schema::list(text_part(), "What is said; empty of a message that has only begun."));
    let call = Object::new("A call of a function.")
        .must("type", Schema::always("function_call"))
        .must("id", Schema::text("The item's id."))
        .must("call_id", Schema::text("The call's id, which its output names."))
        .must("name", Schema::text("The function."))
        .must("arguments", Schema::text("An object of JSON, as a text."))
        .must("status", status());
    Schema::either([message.schema(), call.schema()], "An item of the answer.")
}

fn whole() -> Schema {
    let read = Object::new("Of what was read.")
        .must("cached_tokens", tokens("Tokens that were remembered from another call."))
        .must("cache_write_tokens", tokens("Always 0."));
    let written = Object::new("Of what was written.").must("reasoning_tokens", tokens("Always 0."));
    let usage = Object::new("What was read and written.")
        .must("input_tokens", tokens("Tokens read."))
        .must("input_tokens_details", read.schema())
        .must("output_tokens", tokens("Tokens written."))
        .must("output_tokens_details", written.schema())
        .must("total_tokens", tokens("Both."));
    let error = Object::new("Why it failed.").must("code", Schema::always("server_error")).must("message", Schema::text("What is wrong."));
    let cut = Object::new("Why it is not whole.").must("reason", Schema::always("max_output_tokens"));
    Object::new("An answer, and what was asked.")
        .must("id", Schema::text("The answer's id."))
        .must("object", Schema::always("response"))
        .must("created_at", Schema::whole("When it began, in seconds of Unix's time.").from(0))
        .must("status", Schema::word(&["in_progress", "completed", "incomplete", "failed"], "How far it is."))
        .must("error", error.schema().or_null())
        .must("incomplete_details", cut.schema().or_null())
        .must("model", Schema::text("The model that answers."))
        .must("output", Schema::list(Schema::named("ResponseItem"), "The items of the answer; empty while it is written."))
        .must("usage", usage.schema().or_null())
        .must("store", Schema::flag("Always false."))
        .must("background", Schema::flag("Always false."))
        .must("previous_response_id", Schema::null("Always null."))
        .must("truncation", Schema::always("disabled"))
        .must("metadata", Schema::map(Schema::any("Any value."), "What was sent."))
        .with(asked())
        .schema()
}

/// What an answer says again of what was asked.
fn asked() -> Object {
    let open = || Schema::map(Schema::any("As it was sent."), "As it was sent.");
    Object::new("")
        .must("instructions", Schema::text("As it was sent.").or_null())
        .must("max_output_tokens", Schema::count("As it was sent.").or_null())
        .must("parallel_tool_calls", Schema::flag("As it was sent, or true."))
        .must("temperature", Schema::number("As it was sent; null: the model's own.").or_null())
        .must("top_p", Schema::number("As it was sent; null: the model's own.").or_null())
        .must("text", open())
        .must("tool_choice", Schema::either([Schema::text("A word."), open()], "As it was sent, or `auto`."))
        .must("tools", Schema::list(open(), "As they were sent."))
}

fn event() -> Schema {
    let place = |what: &str| Schema::whole(what).from(0);
    Object::new("An event; what it has besides goes by its `type`, as in OpenAI's reference.")
        .must("type", Schema::text("The event's name.").looks("^response\\."))
        .must("sequence_number", place("Which event of the answer, from 0."))
        .may("response", Schema::named("Response"))
        .may("item", Schema::named("ResponseItem"))
        .may("item_id", Schema::text("Of which item."))
        .may("output_index", place("Where the item is among the items."))
        .may("content_index", place("Always 0."))
        .may("part", text_part())
        .may("delta", Schema::text("What the text or the arguments go on with."))
        .may("text", Schema::text("The whole text."))
        .may("name", Schema::text("The function that is called."))
        .may("arguments", Schema::text("All arguments."))
        .may("logprobs", Schema::list(Schema::any("None."), "Always empty."))
        .schema()
}
