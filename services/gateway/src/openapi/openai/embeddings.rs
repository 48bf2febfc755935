//! Embeddings.

use serde_json::json;

use super::TAG;
use crate::{
    openai::embeddings::MAX_INPUTS,
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
};

const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let operation = Operation::post("/v1/embeddings", "createEmbeddings", TAG)
        .says("Vectors of texts", "For models of the task `embed`. Texts come back in their order.")
        .body(JSON, Schema::named("EmbeddingsRequest"))
        .example(JSON, "one", "One text", json!({ "model": "minilm", "input": "A man is eating food." }))
        .example(
            JSON,
            "several",
            "Several texts, in base64",
            json!({ "model": "minilm", "input": ["one", "two"], "encoding_format": "base64" }),
        )
        .example(JSON, "tokens", "The tokens of a text", json!({ "model": "minilm", "input": [101, 1037, 2158, 102] }))
        .gives("The vectors.", Schema::named("Embeddings"));
    vec![operation]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("EmbeddingsRequest", request()), ("Embeddings", answer())]
}

fn request() -> Schema {
    let token = || Schema::count("A token's id.");
    let inputs = Schema::either(
        [
            Schema::text("A text.").some(),
            Schema::list(Schema::text("A text.").some(), "Texts.").at_least(1).at_most(MAX_INPUTS),
            Schema::list(token(), "The tokens of a text.").at_least(1),
            Schema::list(Schema::list(token(), "The tokens of a text."), "The tokens of several texts.").at_least(1).at_most(MAX_INPUTS),
        ],
        "What is embedded.",
    );
    Object::new("What is to be embedded.")
        .must("model", Schema::text("A model of the task `embed`."))
        .must("input", inputs)
        .may(
            "encoding_format",
            Schema::word(&["float", "base64"], "How vectors are written; base64 is of 32-bit floats, the lowest byte first.")
                .default("float"),
        )
        .maybe("dimensions", Schema::count("Refused: no model here says that its vectors may be cut. Leave it out."))
        .maybe("user", Schema::text("Taken and not used."))
        .schema()
}

fn answer() -> Schema {
    let vector = Schema::either(
        [Schema::list(Schema::number("A number of the vector."), "The vector."), Schema::text("The vector in base64.").format("byte")],
        "The vector, as `encoding_format` says.",
    );
    let item = Object::new("The vector of one input.")
        .must("object", Schema::always("embedding"))
        .must("index", Schema::count("Which input."))
        .must("embedding", vector);
    Object::new("Vectors.")
        .must("object", Schema::always("list"))
        .must("data", Schema::list(item.schema(), "One for each input, in their order."))
        .must("model", Schema::text("The model that answered."))
        .must("usage", Schema::named("ReadingUsage"))
        .schema()
}
