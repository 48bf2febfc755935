//! What is written of TorchServe's paths.

use serde_json::json;

use super::{
    operation::{Operation, Tag},
    schema::{Object, Schema},
};
use crate::form::Form;

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "TorchServe",
    what: "For clients of its inference API. One input a call; answers have the shape of its own handlers.",
    form: Form::TorchServe,
};

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    let predict = |path, id| {
        Operation::post(path, id, TAG)
            .says(
                "What a model makes of one input",
                "The body is the text or the file; or a form, of which the part `data` or `body` is taken; or JSON.",
            )
            .model("minilm")
            .body("application/json", Schema::named("PredictionInput"))
            .example("application/json", "text", "A text", json!({ "data": "A man is eating food." }))
            .body("text/plain", Schema::text("A text."))
            .example("text/plain", "text", "A text", json!("A man is eating food."))
            .body("multipart/form-data", form())
            .example("multipart/form-data", "text", "A text", json!({ "data": "A man is eating food." }))
            .body("application/octet-stream", Schema::any("A file: an image or a recording."))
            .gives("What the model makes of it; its shape is that of the model's task.", Schema::named("Prediction"))
    };
    let ping = Operation::get("/ping", "ping", TAG)
        .says("Whether calls are taken", "Needs no key.")
        .open()
        .own()
        .gives("They are.", Schema::named("Ping"))
        .answers(500, "They are not.", [("application/json", Schema::named("Ping"))]);
    vec![predict("/predictions/{model}", "predict"), predict("/predictions/{model}/{version}", "predictVersion").version(), ping]
}

fn form() -> Schema {
    let part = || Schema::text("The text or the file.");
    Object::new("A form.").may("data", part()).may("body", part().says("The same by another name.")).schema()
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let object = Object::new("A text under a name.")
        .may("data", Schema::text("The text, or a file in base64."))
        .may("body", Schema::text("The same by another name."));
    let input = Schema::either([Schema::text("The text, or a file in base64."), object.schema()], "One input.");
    let ping = Object::new("Whether calls are taken.").must("status", Schema::word(&["Healthy", "Unhealthy"], "Whether they are."));
    vec![("PredictionInput", input), ("Prediction", prediction()), ("Ping", ping.schema())]
}

fn prediction() -> Schema {
    let labels = Schema::map(Schema::number("How sure the model is."), "Of classifiers: labels with their scores, the best first.");
    let vector = Schema::list(Schema::number("A number of the vector."), "Of encoders: the vector.");
    let boxes = Schema::list(Schema::map(Schema::any("The box, and the score."), "The box under its label, and `score`."), "Of detectors.");
    let entities = Schema::list(Schema::named("Entity"), "Of token classifiers.");
    let ranking = Schema::list(Schema::named("RankedDocument"), "Of rerankers.");
    let others = [Schema::named("FilledOutput"), Schema::named("VoiceOutput")];
    Schema::either([labels, vector, entities, ranking, boxes].into_iter().chain(others), "By the model's task.")
}
