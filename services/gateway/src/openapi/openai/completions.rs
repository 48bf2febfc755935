//! Prompts.

use serde_json::json;

use super::{
    TAG,
    answers::{around, event, finish_reason, usage_in_chunk},
    settings::settings,
};
use crate::{
    generation::settings::MAX_LIKELIEST,
    openai::completions::{
        prompt::{MAX_PROMPTS, MAX_TOKENS},
        question::MAX_BEST_OF,
    },
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
};

const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let operation = Operation::post("/v1/completions", "createCompletion", TAG)
        .says(
            "How prompts go on",
            "For models of the task `generate`, whole or as it is written. The choices of the first prompt come first.",
        )
        .body(JSON, Schema::named("CompletionRequest"))
        .example(
            JSON,
            "whole",
            "A whole answer",
            json!({ "model": "stories", "prompt": "Once upon a time", "max_tokens": 12, "temperature": 0 }),
        )
        .example(
            JSON,
            "likeliest",
            "Two prompts, and what else was likely",
            json!({ "model": "stories", "prompt": ["One day", "The dog"], "max_tokens": 4, "logprobs": 2, "echo": true }),
        )
        .example(JSON, "stream", "As it is written", json!({ "model": "stories", "prompt": "Lily saw a", "max_tokens": 8, "stream": true }))
        .gives("The answer, or its events where `stream` is true.", Schema::named("Completion"))
        .answers(200, "", [("text/event-stream", event("CompletionChunk", "OpenAiError"))]);
    vec![operation]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let whole = around("Texts.", "text_completion", choice()).must("usage", Schema::named("Usage"));
    let chunk = around("A piece of a text.", "text_completion", choice()).may("usage", usage_in_chunk());
    vec![
        ("CompletionRequest", request()),
        ("Completion", whole.schema()),
        ("CompletionChunk", chunk.schema()),
        ("CompletionLogprobs", logprobs()),
    ]
}

fn request() -> Schema {
    let tokens = || Schema::list(Schema::count("A token's id."), "The tokens of a prompt.").at_least(1).at_most(MAX_TOKENS);
    let prompt = Schema::either(
        [
            Schema::text("A prompt.").some(),
            Schema::list(Schema::text("A prompt.").some(), "Prompts.").at_least(1).at_most(MAX_PROMPTS),
            tokens(),
            Schema::list(tokens(), "The tokens of several prompts.").at_least(1).at_most(MAX_PROMPTS),
        ],
        "What is to go on.",
    );
    Object::new("Prompts, and how they go on.")
        .must("model", Schema::text("A model of the task `generate`."))
        .must("prompt", prompt)
        .maybe("suffix", Schema::text("Refused unless it is empty: text is written at the end of a prompt only."))
        .maybe("echo", Schema::flag("Whether the prompt is part of the answer.").default(false))
        .maybe("best_of", Schema::count("So many answers are written, and the `n` best given; not less than `n`.").between(1..=MAX_BEST_OF))
        .maybe(
            "logprobs",
            Schema::count("The logarithm of each token, and so many of the likeliest at its place.").between(0..=MAX_LIKELIEST),
        )
        .maybe("stream", Schema::flag("Whether the answer comes as it is written.").default(false))
        .maybe("stream_options", Schema::named("StreamOptions"))
        .with(settings())
        .schema()
}

fn choice() -> Schema {
    Object::new("A text, or a piece of it.")
        .must("index", Schema::count("Which one: prompt times `n`, and the answer."))
        .must("text", Schema::text("The text."))
        .must("logprobs", Schema::named("CompletionLogprobs").or_null())
        .must("finish_reason", finish_reason())
        .schema()
}

fn logprobs() -> Schema {
    let likely = Schema::map(Schema::number("Its logarithm."), "The likeliest tokens by their texts; null of the first token of a prompt.");
    Object::new("The tokens with their logarithms; the lists are as long as each other.")
        .must("tokens", Schema::list(Schema::text("A token."), "The tokens."))
        .must(
            "token_logprobs",
            Schema::list(Schema::number("Its logarithm; null of the first token of a prompt.").or_null(), "Their logarithms."),
        )
        .must("top_logprobs", Schema::list(likely.or_null(), "What else was likely at their places."))
        .must("text_offset", Schema::list(Schema::whole("Where it begins, in characters.").from(0), "Where they begin."))
        .schema()
}
