//! What is written of the paths of text-embeddings-inference.

use serde_json::json;

use super::{
    errors,
    operation::{Operation, Tag},
    schema::{Object, Schema},
};
use crate::form::Form;

const JSON: &str = "application/json";

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "text-embeddings-inference",
    what: "For clients that have the address of such a server now. A call means the model of `?model=NAME`, or, without it, the only one of the path's task.",
    form: Form::Tei,
};

fn named(operation: Operation, model: &str) -> Operation {
    operation.query("model", "The model; may be left out where only one has the path's task.", Some(model)).query(
        "version",
        "Its version; absent: that which the route chooses.",
        None,
    )
}

fn measured(path: &'static str, id: &'static str, model: &str) -> Operation {
    let empty = [(JSON, errors::schema(Form::Tei))];
    named(Operation::post(path, id, TAG), model).answers(400, "Nothing was sent that could be worked on.", empty)
}

/// What the headers of an answer say.
fn told(operation: Operation) -> Operation {
    let count = |what: &str| Schema::whole(what).from(0);
    operation
        .tells(200, "x-compute-characters", count("How many characters were sent."))
        .tells(200, "x-compute-tokens", count("How many tokens were read."))
        .tells(200, "x-compute-time", count("How long it took, in milliseconds."))
        .tells(200, "x-total-time", count("The same."))
        .tells(200, "x-queue-time", count("How long it waited, in milliseconds, where the worker says it."))
        .tells(200, "x-inference-time", count("How long it was computed, in milliseconds, where the worker says it."))
}

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    let embed = measured("/embed", "teiEmbed", "minilm")
        .says("Vectors of texts", "For models of the task `embed`.")
        .body(JSON, Schema::named("TeiEmbedRequest"))
        .example(JSON, "one", "One text", json!({ "inputs": "A man is eating food." }))
        .example(JSON, "tokens", "Tokens", json!({ "inputs": [101, 7592, 2088, 102], "truncate": true }))
        .gives("The vectors.", Schema::list(Schema::list(Schema::number("A number of the vector."), "A vector."), "One for each input."));
    let prediction =
        Object::new("A label.").must("score", Schema::number("How sure the model is.")).must("label", Schema::text("Its name."));
    let predictions = Schema::list(prediction.schema(), "Labels, the best first.");
    let predict = measured("/predict", "teiPredict", "spam")
        .says("Labels of texts", "For models of the task `classify`. Pairs of texts are refused.")
        .body(JSON, Schema::named("TeiPredictRequest"))
        .example(JSON, "one", "One text", json!({ "inputs": "You have won a prize" }))
        .example(JSON, "batch", "Two texts", json!({ "inputs": [["You have won"], ["See you at nine"]] }))
        .gives("Labels.", Schema::either([predictions.clone(), Schema::list(predictions, "One for each text of a batch.")], "Labels."));
    let rank = Object::new("A text's place.")
        .must("index", Schema::count("Which text."))
        .may("text", Schema::text("The text, where it was asked for."))
        .must("score", Schema::number("How well it answers."));
    let rerank = measured("/rerank", "teiRerank", "reranker")
        .says("Texts in the order in which they answer a query", "For models of the task `rerank`.")
        .body(JSON, Schema::named("TeiRerankRequest"))
        .example(
            JSON,
            "two",
            "Two texts",
            json!({ "query": "Which river is at Ulm?", "texts": ["The Danube.", "Bread."], "return_text": true }),
        )
        .gives("The texts, the best first.", Schema::list(rank.schema(), "The best first."));
    let info = named(Operation::get("/info", "teiInfo", TAG), "minilm")
        .says("What a model is", "Of models of the tasks `embed`, `classify` and `rerank`.")
        .gives("What it is.", Schema::named("TeiInfo"));
    vec![told(embed), told(predict), told(rerank), info]
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("TeiEmbedRequest", embed()), ("TeiPredictRequest", predict()), ("TeiRerankRequest", rerank()), ("TeiInfo", info())]
}

/// What becomes of a text that is too long.
fn long(object: Object) -> Object {
    object
        .maybe("truncate", Schema::flag("Whether the end of a text that is too long is cut off; absent: as the model's manifest says."))
        .may(
            "truncation_direction",
            Schema::word(&["Right", "right", "Left", "left"], "Which end is cut off; `Left` is refused.").default("Right"),
        )
}

fn embed() -> Schema {
    let tokens = || Schema::list(Schema::count("A token's id."), "The tokens of a text.").at_least(1);
    let inputs = Schema::either(
        [
            Schema::text("A text.").some(),
            tokens(),
            Schema::list(Schema::text("A text.").some(), "Texts.").at_least(1),
            Schema::list(tokens(), "The tokens of several texts.").at_least(1),
        ],
        "What is embedded.",
    );
    long(Object::new("What is to be embedded.").must("inputs", inputs))
        .maybe("prompt_name", Schema::text("Refused: prompts are not added here. Leave it out."))
        .may(
            "normalize",
            Schema::flag("Whether vectors have the length 1; false is refused of a model whose manifest scales them.").default(true),
        )
        .maybe("dimensions", Schema::count("Refused: no model here says that its vectors may be cut. Leave it out."))
        .schema()
}

fn predict() -> Schema {
    let text = || Schema::text("A text.").some();
    let one = || Schema::list(text(), "One text.").at_least(1).at_most(1);
    let inputs = Schema::either([text(), one(), Schema::list(one(), "A batch.").at_least(1)], "What is labelled.");
    long(Object::new("What is to be labelled.").must("inputs", inputs))
        .may("raw_scores", Schema::flag("Whether the scores are the model's numbers as they are.").default(false))
        .schema()
}

fn rerank() -> Schema {
    long(
        Object::new("A query and texts.")
            .must("query", Schema::text("What the texts are to answer."))
            .must("texts", Schema::list(Schema::text("A text."), "The texts.").at_least(1)),
    )
    .may("raw_scores", Schema::flag("Whether the scores are the model's numbers as they are.").default(false))
    .may("return_text", Schema::flag("Whether the texts come back.").default(false))
    .schema()
}

fn info() -> Schema {
    let known = |what: &str| Schema::whole(what).from(0).or_null();
    Object::new("A model; what is not known is null.")
        .must("model_id", Schema::text("Its name."))
        .must("model_sha", Schema::null("Not known."))
        .must("served_model_name", Schema::text("Its name."))
        .must("model_type", Schema::map(Schema::any("What is known of it."), "`embedding`, `classifier` or `reranker`."))
        .must("max_concurrent_requests", Schema::whole("How many calls the gateway takes at once.").from(0))
        .must("max_input_length", known("The most tokens of an input."))
        .must("max_batch_tokens", known("The most tokens of a batch."))
        .must("max_batch_requests", known("The most calls of a batch."))
        .must("max_client_batch_size", known("The most inputs of a call."))
        .must("auto_truncate", Schema::flag("Whether the end of a text that is too long is cut off."))
        .must("version", Schema::text("The gateway's version."))
        .must("sha", Schema::null("Not known."))
        .must("docker_label", Schema::null("Not known."))
        .schema()
}
