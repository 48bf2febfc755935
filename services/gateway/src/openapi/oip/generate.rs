//! Triton's generate extension.

use serde_json::json;

use super::TAG;
use crate::openapi::{
    openai::settings,
    operation::Operation,
    schema::{Object, Schema},
};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

pub(super) fn operations() -> Vec<Operation> {
    let ask = |path, id| {
        let body = json!({ "text_input": "Once upon a time", "parameters": { "max_tokens": 12, "temperature": 0 } });
        Operation::post(path, id, TAG).model("stories").body(JSON, Schema::named("GenerateRequest")).example(JSON, "story", "A story", body)
    };
    let whole = |path, id| {
        ask(path, id)
            .says("How a text goes on", "For models of the task `generate`. The settings stand in `parameters`, or beside the text.")
            .gives("The text, without its beginning.", Schema::named("Generated"))
    };
    let event = || {
        let data = Schema::either(
            [Schema::named("Generated"), Schema::named("OpenInferenceError")],
            "The next piece, or the error that ends the stream.",
        );
        Schema::event(data, None, "The next piece, or the error that ends the stream.")
    };
    let stream = |path, id| {
        ask(path, id).says("The same as it is written", "One event for each piece of the text.").answers(
            200,
            "The pieces.",
            [(EVENTS, event())],
        )
    };
    vec![
        whole("/v2/models/{model}/generate", "generate"),
        whole("/v2/models/{model}/versions/{version}/generate", "generateVersion").version(),
        stream("/v2/models/{model}/generate_stream", "generateStream"),
        stream("/v2/models/{model}/versions/{version}/generate_stream", "generateVersionStream").version(),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let parameters = settings().schema().or_null();
    let request = Object::new("A text that is to go on.")
        .must("text_input", Schema::text("The text.").some())
        .maybe("id", Schema::text("An id, which the answer has too."))
        .may("parameters", parameters)
        .with(settings());
    let generated = Object::new("A text, or a piece of it.")
        .may("id", Schema::text("The request's id."))
        .must("model_name", Schema::text("The model that answered."))
        .must("model_version", Schema::text("Its version."))
        .must("text_output", Schema::text("What was written."));
    vec![("GenerateRequest", request.schema()), ("Generated", generated.schema())]
}
