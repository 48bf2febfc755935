//! Health, and what is known of the server and of models.

use super::{TAG, messages::refer};
use crate::openapi::{
    operation::Operation,
    schema::{Object, Schema},
};

pub(super) fn operations() -> Vec<Operation> {
    [health(), server(), models()].concat()
}

fn health() -> Vec<Operation> {
    vec![
        Operation::get("/v2/health/live", "isLive", TAG)
            .says("Whether the gateway lives", "Needs no key.")
            .open()
            .own()
            .gives("It does.", Schema::named("Live")),
        Operation::get("/v2/health/ready", "isReady", TAG)
            .says(
                "Whether calls are taken",
                "Whether the gateway takes calls, and a router behind it has a model to send them to. Needs no key.",
            )
            .open()
            .own()
            .gives("They are.", Schema::named("Ready"))
            .answers(503, "They are not.", [("application/json", Schema::named("Ready"))]),
    ]
}

fn server() -> Vec<Operation> {
    vec![
        Operation::get("/v2", "serverMetadata", TAG)
            .says("What the server is", "Its name, its version, and what it does beside the protocol.")
            .gives("What it is.", refer("ServerMetadataResponse")),
        Operation::get("/v2/models/stats", "allStatistics", TAG)
            .says("Statistics of every model that is ready", "Of each model those of one worker that serves it.")
            .gives("The statistics.", refer("ModelStatisticsResponse")),
    ]
}

fn models() -> Vec<Operation> {
    let both = |plain: &'static str, versioned: &'static str, ids: [&'static str; 2], says: [&'static str; 2], gives: &Schema| {
        let one = |path, id| Operation::get(path, id, TAG).says(says[0], says[1]).model("minilm").gives("What is known.", gives.clone());
        [one(plain, ids[0]), one(versioned, ids[1]).version()]
    };
    [
        both(
            "/v2/models/{model}",
            "/v2/models/{model}/versions/{version}",
            ["modelMetadata", "versionMetadata"],
            ["A model's tensors", "And its versions, and in `properties` its task, its limits and how it reads."],
            &refer("ModelMetadataResponse"),
        ),
        both(
            "/v2/models/{model}/ready",
            "/v2/models/{model}/versions/{version}/ready",
            ["isModelReady", "isVersionReady"],
            ["Whether a model is ready", "Everything but 200 says why it is not."],
            &Schema::named("ModelReady"),
        ),
        both(
            "/v2/models/{model}/config",
            "/v2/models/{model}/versions/{version}/config",
            ["modelConfig", "versionConfig"],
            ["A model's configuration", "As Triton has it."],
            &refer("ModelConfig"),
        ),
        both(
            "/v2/models/{model}/stats",
            "/v2/models/{model}/versions/{version}/stats",
            ["modelStatistics", "versionStatistics"],
            ["A model's statistics", "Those of one worker that serves it."],
            &refer("ModelStatisticsResponse"),
        ),
    ]
    .concat()
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let live = Object::new("Whether the gateway lives.").must("live", Schema::flag("Always true."));
    let ready = Object::new("Whether calls are taken.").must("ready", Schema::flag("Whether they are."));
    let model = Object::new("A model that is ready.").must("name", Schema::text("Its name.")).must("ready", Schema::flag("Always true."));
    vec![("Live", live.schema()), ("Ready", ready.schema()), ("ModelReady", model.schema())]
}
