//! Pipelines: models chained into one call, which is a model to whoever calls it.

mod answers;
mod demo;
mod failures;
mod golden;
mod life;
mod measure;
mod meshctl;
mod usage;

use std::time::Duration;

use tonic::Status;
use torchmesh_api::{
    inference::{ModelInferRequest, ModelInferResponse, ModelMetadataRequest},
    tensor::{Datatype, Tensor, bytes_elements},
};
use torchmesh_tests::{MeshSandbox, client, eventually, models::Model, sandbox::Builder};

const PATIENCE: Duration = Duration::from_secs(20);

/// An input of FP32 of any size.
const X: &str = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1, -1]\n";

/// A step that calls a model; `more` are its further fields.
fn step(name: &str, model: &str, inputs: &str, more: &str) -> String {
    format!("[[step]]\nname = '{name}'\nmodel = '{model}'\ninputs = {{ {inputs} }}\n{more}\n")
}

/// A step that transforms tensors.
fn transform(name: &str, transform: &str, inputs: &str, more: &str) -> String {
    format!("[[step]]\nname = '{name}'\ntransform = '{transform}'\ninputs = {{ {inputs} }}\n{more}\n")
}

fn output(name: &str, from: &str) -> String {
    format!("[[output]]\nname = '{name}'\nfrom = {from}\n")
}

/// The file of a pipeline that gives back what it is sent, by way of this model.
fn passes_on(model: &str) -> String {
    [X, &step("only", model, "INPUT0 = 'input.x'", ""), &output("y", "'only.OUTPUT0'")].concat()
}

/// A mesh with these models and pipelines, all of which are ready.
async fn mesh(models: impl IntoIterator<Item = Model>, pipelines: &[(&str, &str)]) -> MeshSandbox {
    let builder = models.into_iter().fold(MeshSandbox::builder(), Builder::model);
    start(builder, pipelines).await
}

/// The same with more said about the mesh.
async fn start(builder: Builder, pipelines: &[(&str, &str)]) -> MeshSandbox {
    let builder = pipelines.iter().fold(builder, |builder, (name, text)| builder.pipeline(name, text));
    let mesh = builder.start().await;
    for (name, _) in pipelines {
        ready(&mesh, name).await;
    }
    mesh
}

/// Waits until a version of a pipeline, `NAME/VERSION`, can be called.
async fn ready(mesh: &MeshSandbox, name: &str) {
    let (name, version) = name.split_once('/').unwrap();
    let question = || ModelMetadataRequest { name: name.to_owned(), version: version.to_owned() };
    eventually(&format!("pipeline {name} {version} is ready"), PATIENCE, async || mesh.inference().model_metadata(question()).await.ok())
        .await;
}

/// A request with these tensors.
fn request(model: &str, inputs: &[(&str, Tensor)]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: inputs.iter().map(|(name, tensor)| client::tensor(name, tensor.datatype.name(), &tensor.shape)).collect(),
        raw_input_contents: inputs.iter().map(|(_, tensor)| tensor.data.clone()).collect(),
        ..Default::default()
    }
}

/// An output of an answer.
fn given(answer: &ModelInferResponse, name: &str) -> Option<Tensor> {
    let at = answer.outputs.iter().position(|output| output.name == name)?;
    let output = &answer.outputs[at];
    let datatype = output.datatype.parse().expect("a datatype");
    Some(Tensor { datatype, shape: output.shape.clone(), data: answer.raw_output_contents[at].clone() })
}

/// Calls a model or a pipeline through the first gateway.
async fn call(mesh: &MeshSandbox, model: &str, inputs: &[(&str, Tensor)]) -> Result<ModelInferResponse, Status> {
    mesh.inference().model_infer(request(model, inputs)).await.map(tonic::Response::into_inner)
}

/// The same, and what it gives as `y`.
async fn y(mesh: &MeshSandbox, model: &str, inputs: &[(&str, Tensor)]) -> Tensor {
    let answer = call(mesh, model, inputs).await.unwrap_or_else(|status| panic!("{status:?}"));
    given(&answer, "y").unwrap_or_else(|| panic!("no y in {answer:?}"))
}

/// A tensor of texts.
fn texts(all: &[&str]) -> Tensor {
    let data = all.iter().flat_map(|text| [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()).collect();
    Tensor { datatype: Datatype::Bytes, shape: vec![i64::try_from(all.len()).unwrap()], data }
}

/// The texts of a tensor.
fn words(tensor: &Tensor) -> Vec<String> {
    bytes_elements(&tensor.data).map(|element| String::from_utf8(element.expect("whole").to_vec()).expect("UTF-8")).collect()
}
