//! Tensors.

use serde_json::json;

use super::TAG;
use crate::{
    openapi::{
        operation::Operation,
        schema::{Object, Schema},
    },
    rest_v2::{
        datatype::Datatype,
        parameters::MAX,
        request::{MAX_DIMENSIONS, MAX_TENSORS},
    },
};

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
const LENGTH: &str = "Inference-Header-Content-Length";

pub(super) fn operations() -> Vec<Operation> {
    let ids = json!({ "name": "input_ids", "shape": [1, 4], "datatype": "INT64", "data": [[101, 7592, 2088, 102]] });
    let mask = json!({ "name": "attention_mask", "shape": [1, 4], "datatype": "INT64", "data": [1, 1, 1, 1] });
    let one = |path, id| {
        Operation::post(path, id, TAG)
            .says(
                "Tensors in, tensors out",
                "`data` may be flat or nested. Binary tensors stand behind the JSON: `parameters.binary_data_size` of an input says how many \
                 bytes are its own, and the header `Inference-Header-Content-Length` how long the JSON is. A compressed body is not taken.",
            )
            .model("minilm")
            .header(LENGTH, Schema::whole("How many bytes of the body are JSON, where binary tensors follow it.").from(1))
            .body(JSON, Schema::named("InferRequest"))
            .body(BINARY, Schema::any("The JSON of an InferRequest, and behind it the binary tensors."))
            .example(JSON, "tokens", "Two inputs", json!({ "inputs": [ids, mask] }))
            .example(
                JSON,
                "classes",
                "The three highest values of an output",
                json!({ "id": "7", "inputs": [ids, mask], "outputs": [{ "name": "embedding", "parameters": { "classification": 3 } }] }),
            )
            .gives("The outputs.", Schema::named("InferResponse"))
            .answers(200, "", [(BINARY, Schema::any("The JSON of an InferResponse, and behind it the outputs that were asked for in binary."))])
            .tells(200, LENGTH, Schema::whole("How many bytes of the body are JSON, where binary outputs follow it.").from(1))
    };
    vec![one("/v2/models/{model}/infer", "infer"), one("/v2/models/{model}/versions/{version}/infer", "inferVersion").version()]
}

pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("InferParameters", parameters()), ("InferData", data()), ("InferRequest", request()), ("InferResponse", answer())]
}

fn parameters() -> Schema {
    let value = Schema::either([Schema::text("A text."), Schema::number("A number."), Schema::flag("True or false.")], "A value.");
    Schema::map(value, "Values by name: `binary_data_size` of an input; `binary_data` and `classification` of an output; `binary_data_output` beside the inputs; what else the model knows.").at_most(MAX)
}

fn data() -> Schema {
    let element = || Schema::either([Schema::number("A number."), Schema::flag("True or false."), Schema::text("A text.")], "An element.");
    let nested = Schema::named("InferData");
    Schema::list(
        Schema::either([element().or_null(), nested], "An element, or a list of the next dimension."),
        "Elements, flat or nested. Null is a float that is no number, in an answer only.",
    )
}

fn datatype() -> Schema {
    Schema::word(&Datatype::ALL.map(Datatype::name), "What the elements are.")
}

fn shape() -> Schema {
    Schema::list(Schema::whole("A dimension's length.").from(0), "How many elements there are, row by row.").at_most(MAX_DIMENSIONS)
}

fn request() -> Schema {
    let input = Object::new("A tensor.")
        .must("name", Schema::text("Its name."))
        .must("shape", shape())
        .must("datatype", datatype())
        .may("parameters", Schema::named("InferParameters"))
        .maybe("data", Schema::named("InferData"));
    let output = Object::new("An output that is wanted.")
        .must("name", Schema::text("Its name."))
        .may("parameters", Schema::named("InferParameters"));
    Object::new("Inputs of a model.")
        .may("id", Schema::text("An id, which the answer has too."))
        .may("parameters", Schema::named("InferParameters"))
        .must("inputs", Schema::list(input.schema(), "The inputs.").at_most(MAX_TENSORS))
        .may("outputs", Schema::list(output.schema(), "The outputs that are wanted; absent: all.").at_most(MAX_TENSORS))
        .schema()
}

fn answer() -> Schema {
    let output = Object::new("A tensor.")
        .must("name", Schema::text("Its name."))
        .must("datatype", datatype())
        .must("shape", shape())
        .may("parameters", Schema::named("InferParameters"))
        .may("data", Schema::named("InferData"));
    Object::new("Outputs of a model.")
        .may("id", Schema::text("The request's id."))
        .must("model_name", Schema::text("The model that answered."))
        .must("model_version", Schema::text("Its version."))
        .may("parameters", Schema::named("InferParameters"))
        .must("outputs", Schema::list(output.schema(), "The outputs."))
        .schema()
}
