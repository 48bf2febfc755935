//! What answers that write text have in common.

use crate::openapi::schema::{Object, Schema};

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let prompt = Object::new("Of what was read.")
        .must("cached_tokens", tokens("Tokens that were remembered from another call."))
        .must("audio_tokens", tokens("Always 0."));
    let written = Object::new("Of what was written; always 0.")
        .must("reasoning_tokens", tokens("Always 0."))
        .must("audio_tokens", tokens("Always 0."))
        .must("accepted_prediction_tokens", tokens("Always 0."))
        .must("rejected_prediction_tokens", tokens("Always 0."));
    let usage = Object::new("What was read and written.")
        .must("prompt_tokens", tokens("Tokens read."))
        .must("completion_tokens", tokens("Tokens written."))
        .must("total_tokens", tokens("Both."))
        .must("prompt_tokens_details", prompt.schema())
        .must("completion_tokens_details", written.schema());
    let reading = Object::new("What was read.").must("prompt_tokens", tokens("Tokens read.")).must("total_tokens", tokens("The same."));
    let options = Object::new("What a stream tells.")
        .maybe("include_usage", Schema::flag("Whether the last chunk before the end tells the usage.").default(false));
    vec![("Usage", usage.schema()), ("ReadingUsage", reading.schema()), ("StreamOptions", options.schema())]
}

/// A number of tokens.
pub(super) fn tokens(what: &str) -> Schema {
    Schema::whole(what).from(0)
}

/// What every whole answer and every chunk has, around its choices.
pub(super) fn around(what: &str, object: &str, choice: Schema) -> Object {
    Object::new(what)
        .must("id", Schema::text("The answer's id; all chunks of a stream have the same."))
        .must("object", Schema::always(object))
        .must("created", Schema::whole("When it began, in seconds of Unix's time.").from(0))
        .must("model", Schema::text("The model that answers."))
        .must("choices", Schema::list(choice, "The answers."))
}

/// The usage in a chunk.
pub(super) fn usage_in_chunk() -> Schema {
    Schema::named("Usage")
        .or_null()
        .says("Where `include_usage` asks for it: null, and in the last chunk, which has no choices, the usage.")
}

/// Why an answer ended.
pub(super) fn finish_reason() -> Schema {
    Schema::word(&["stop", "length", "tool_calls"], "Why it ended; null while it has not.").or_null()
}

/// What an event's data are, beside `[DONE]`.
pub(super) fn event(chunk: &str, error: &str) -> Schema {
    Schema::event(
        Schema::either([Schema::named(chunk), Schema::named(error)], "A chunk, or the error that ends the stream."),
        Some("[DONE]"),
        "A chunk, or the error that ends the stream. A whole answer ends with `data: [DONE]`. A line that begins with a colon is a comment, which \
         says that the answer goes on.",
    )
}
