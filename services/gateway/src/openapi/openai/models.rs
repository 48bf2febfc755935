//! The models.

use super::TAG;
use crate::openapi::{
    operation::Operation,
    schema::{Object, Schema},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/models", "listModels", TAG)
            .says("The models that can be called now", "Of every task; `GET /v2/models/{model}` says more of one.")
            .gives("The models.", Schema::named("ModelList")),
        Operation::get("/v1/models/{model}", "showModel", TAG)
            .says("One model", "Found while it can be called.")
            .model("minilm")
            .gives("The model.", Schema::named("Model")),
    ]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    let model = Object::new("A model.")
        .must("id", Schema::text("Its name."))
        .must("object", Schema::always("model"))
        .must("created", Schema::whole("Always 0: when a model was made is not known.").from(0))
        .must("owned_by", Schema::text("Always `torchmesh`."));
    let list = Object::new("Models.")
        .must("object", Schema::always("list"))
        .must("data", Schema::list(Schema::named("Model"), "In the order of their names."));
    vec![("Model", model.schema()), ("ModelList", list.schema())]
}
