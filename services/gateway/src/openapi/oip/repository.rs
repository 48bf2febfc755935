//! The model repository.

use super::{TAG, messages::refer};
use crate::{
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
    rest_v2::repository::LONGEST,
};

const JSON: &str = "application/json";

pub(super) fn operations() -> Vec<Operation> {
    let longest = format!(
        "Loads what the workers' repositories have of a model now; answers when it is ready or has failed. A body has up to {LONGEST} bytes."
    );
    vec![
        Operation::post("/v2/repository/index", "repositoryIndex", TAG)
            .says("All models, ready or not", "And of each that is not why.")
            .gives("The models.", Schema::list(refer("RepositoryIndexResponse.ModelIndex"), "The models.")),
        Operation::post("/v2/repository/models/{model}/load", "loadModel", TAG)
            .says("Loads a model", longest)
            .model("minilm")
            .body(JSON, Schema::named("LoadRequest"))
            .body_if_any()
            .answers(200, "It is ready.", []),
        Operation::post("/v2/repository/models/{model}/unload", "unloadModel", TAG)
            .says("Takes a model out", "Until it is loaded again.")
            .model("minilm")
            .answers(200, "It is out.", []),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let value = Schema::either([Schema::flag("True or false."), Schema::whole("A whole number."), Schema::text("A text.")], "A value.");
    let load = Object::new("How a model is loaded.").may("parameters", Schema::map(value, "Values by name."));
    vec![("LoadRequest", load.schema())]
}
