//! What is written of `/v1/tasks/{model}`.

use serde_json::json;

use super::{
    openai::TAG as OPENAI,
    operation::{Operation, Tag},
    schema::{Object, Schema},
};
use crate::tasks::door::MAX_INPUTS;

const JSON: &str = "application/json";

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "By the model's task",
    what: "A text, an image or a recording goes in, and the answer of the model's task comes out, in one shape for every task.",
    form: OPENAI.form,
};

/// The door.
pub(super) fn operations() -> Vec<Operation> {
    let operation = Operation::post("/v1/tasks/{model}", "runTask", TAG)
        .says(
            "What a model's task gives",
            "JSON with up to 2048 inputs, or a body that is the one input itself. In JSON a file is written in base64, also as a `data:` URL. \
             `tensor` and `generate` are refused: they have doors of their own.",
        )
        .model("minilm")
        .query("version", "The model's version; absent: that which the route chooses.", None)
        .body(JSON, Schema::named("TaskRequest"))
        .example(JSON, "texts", "Texts, and what becomes of long ones", json!({ "inputs": ["A man is eating food."], "parameters": { "truncation": "reject" } }))
        .body("text/plain", Schema::text("One text.").some())
        .example("text/plain", "text", "One text", json!("A man is eating food."))
        .body("application/octet-stream", Schema::any("One file: an image (JPEG, PNG, WebP) or a recording (WAV, FLAC)."))
        .gives("The outputs.", Schema::named("TaskAnswer"));
    vec![operation]
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    [vec![("TaskRequest", request()), ("TaskAnswer", answer())], parameters(), outputs()].concat()
}

fn request() -> Schema {
    let query = Object::new("Of rerankers.")
        .must("query", Schema::text("What the documents are to answer."))
        .must("documents", Schema::list(Schema::text("A document."), "The documents.").at_least(1).at_most(MAX_INPUTS));
    let inputs = Schema::either(
        [
            Schema::text("A text, or a file in base64."),
            Schema::list(Schema::text("A text, or a file in base64."), "Several.").at_least(1).at_most(MAX_INPUTS),
            query.schema(),
        ],
        "What the model's task takes.",
    );
    let of = parameters().into_iter().map(|(name, _)| Schema::named(name)).chain([Schema::null("None.")]);
    Object::new("Inputs, and how they are read.")
        .must("inputs", inputs)
        .may("parameters", Schema::either(of, "Those of the model's task; others are refused, with those that it has."))
        .closed()
        .schema()
}

/// The parameters of each task.
fn parameters() -> Vec<(&'static str, Schema)> {
    let truncation = || {
        Schema::word(&["model", "reject", "end", "split"], "What becomes of a text that is too long; `model`: what its manifest says.")
            .default("model")
    };
    let scores = || {
        Schema::word(&["model", "softmax", "sigmoid", "none"], "What makes scores of the model's numbers; `model`: what its manifest says.")
            .default("model")
    };
    let words = Schema::word(
        &["model", "none", "simple", "first", "average", "max"],
        "How tokens become entities; `model`: what its manifest says.",
    )
    .default("model");
    let top = || Schema::count("Only so many of the best; 0: all, or as many as the task gives.").default(0);
    let text = |what: &str| Object::new(what).may("truncation", truncation());
    let share = |what: &str| Schema::number(what);
    vec![
        ("EmbedParameters", text("Of `embed`.").closed().schema()),
        ("ClassifyParameters", text("Of `classify`.").may("scores", scores()).may("top_k", top()).closed().schema()),
        ("TokenClassifyParameters", text("Of `token-classify`.").may("aggregation", words).closed().schema()),
        ("FillParameters", text("Of `fill`.").may("top_k", top()).closed().schema()),
        (
            "RerankParameters",
            text("Of `rerank`.")
                .may("scores", scores())
                .may("top_n", top())
                .may("return_documents", Schema::flag("Whether the documents come back.").default(false))
                .closed()
                .schema(),
        ),
        (
            "ClassifyImageParameters",
            Object::new("Of `classify-image`.")
                .may("top_k", top())
                .maybe("min_score", share("Only labels with at least this score."))
                .closed()
                .schema(),
        ),
        (
            "DetectObjectsParameters",
            Object::new("Of `detect-objects`.")
                .maybe("score_threshold", share("Only boxes with at least this score."))
                .maybe("iou_threshold", share("Boxes of one label that share more than this are one."))
                .may("max_detections", top())
                .closed()
                .schema(),
        ),
        ("DetectVoiceParameters", voice().closed().schema()),
    ]
}

fn voice() -> Object {
    let millis = |what: &str| Schema::count(what);
    Object::new("Of `detect-voice`; absent: as the model's manifest says.")
        .maybe("threshold", Schema::number("From where it is speech."))
        .maybe("neg_threshold", Schema::number("Below which it is silence again."))
        .maybe("min_speech_ms", millis("Shorter speech is none."))
        .maybe("min_silence_ms", millis("Shorter silence is none."))
        .maybe("speech_pad_ms", millis("What is added on both sides."))
        .maybe("max_speech_s", Schema::number("Longer speech is cut."))
}

fn label() -> Schema {
    Object::new("A label.").must("label", Schema::text("Its name.")).must("score", Schema::number("How sure the model is.")).schema()
}

fn labels() -> Schema {
    Schema::list(label(), "The best first.")
}

/// The outputs of each task.
fn outputs() -> Vec<(&'static str, Schema)> {
    let read = |object: Object| {
        object.must("tokens", Schema::count("How many tokens were read.")).must("truncated", Schema::flag("Whether the end was cut off."))
    };
    let sized = |object: Object| {
        object.must("width", Schema::count("The image's, in pixels.")).must("height", Schema::count("The image's, in pixels."))
    };
    let vector = Schema::list(Schema::number("A number of the vector."), "The vector.");
    let place = Schema::list(Schema::number("In pixels."), "Left, top, right, bottom.").at_least(4).at_most(4);
    let detection = Object::new("A thing.")
        .must("label", Schema::text("What it is."))
        .must("score", Schema::number("How sure the model is."))
        .must("box", place);
    let seconds = |what: &str| Schema::number(what).from(0);
    let segment = Object::new("A stretch of speech.").must("start", seconds("In seconds.")).must("end", seconds("In seconds."));
    vec![
        ("EmbeddingOutput", read(Object::new("Of `embed`.").must("embedding", vector)).schema()),
        ("LabelsOutput", read(Object::new("Of `classify`.").must("labels", labels())).schema()),
        (
            "EntitiesOutput",
            read(Object::new("Of `token-classify`.").must("entities", Schema::list(Schema::named("Entity"), "In the order of the text.")))
                .schema(),
        ),
        ("FilledOutput", read(filled()).schema()),
        (
            "RankingOutput",
            Object::new("Of `rerank`.").must("results", Schema::list(Schema::named("RankedDocument"), "The best first.")).schema(),
        ),
        ("ClassesOutput", sized(Object::new("Of `classify-image`.").must("labels", labels())).schema()),
        (
            "DetectionsOutput",
            sized(Object::new("Of `detect-objects`.").must("detections", Schema::list(detection.schema(), "The best first."))).schema(),
        ),
        (
            "VoiceOutput",
            Object::new("Of `detect-voice`.")
                .must("segments", Schema::list(segment.schema(), "In the order of time."))
                .must("duration", seconds("The recording's length in seconds."))
                .must("sample_rate", Schema::count("Samples a second."))
                .schema(),
        ),
        ("Entity", entity()),
        ("RankedDocument", ranked()),
    ]
}

fn filled() -> Object {
    let candidate = Object::new("What may stand there.")
        .must("token", Schema::text("The token."))
        .must("score", Schema::number("How sure the model is."))
        .must("text", Schema::text("The whole text with it."));
    let mask = Object::new("A mask.")
        .must("start", Schema::count("Where it begins, in characters."))
        .must("end", Schema::count("Where it ends."))
        .must("candidates", Schema::list(candidate.schema(), "The best first."));
    Object::new("Of `fill`.")
        .must("text", Schema::text("The text with every mask filled."))
        .must("masks", Schema::list(mask.schema(), "One for each mask."))
}

fn entity() -> Schema {
    Object::new("A part of a text that has a label.")
        .must("label", Schema::text("Its name."))
        .must("score", Schema::number("How sure the model is."))
        .must("start", Schema::count("Where it begins, in characters."))
        .must("end", Schema::count("Where it ends."))
        .must("text", Schema::text("Its text."))
        .schema()
}

fn ranked() -> Schema {
    Object::new("A document's place.")
        .must("index", Schema::count("Which document."))
        .must("score", Schema::number("How well it answers."))
        .may("document", Schema::text("The document, where it was asked for."))
        .schema()
}

fn answer() -> Schema {
    let names = [
        "EmbeddingOutput",
        "LabelsOutput",
        "EntitiesOutput",
        "FilledOutput",
        "RankingOutput",
        "ClassesOutput",
        "DetectionsOutput",
        "VoiceOutput",
    ];
    Object::new("What the model made of the inputs.")
        .must("model", Schema::text("The model that answered."))
        .must("version", Schema::text("Its version."))
        .must("task", Schema::text("Its task."))
        .must("outputs", Schema::list(Schema::either(names.map(Schema::named), "By the task."), "One for each input, in their order."))
        .schema()
}
