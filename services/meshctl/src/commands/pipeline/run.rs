//! `meshctl pipeline run`: one call, with what is typed, and everything that comes back.

use std::{io::Write as _, path::Path};

use serde_json::{Map, Value, json};
use tokio_stream as stream;
use tonic::Streaming;
use torchmesh_api::{
    inference::{
        ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, grpc_inference_service_client::GrpcInferenceServiceClient,
        model_infer_request::InferInputTensor,
    },
    tensor::{Datatype, Tensor},
};
use torchmesh_pipeline::kind::content;

use super::{metadata, values};
use crate::{
    cli::{CallArgs, RunArgs},
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// Asks what it takes, sends that, and shows what comes.
pub(super) async fn run(args: &RunArgs, home: &Home, screen: &Screen) -> Result<()> {
    let caller = Caller::connect(&args.call.client, home).await?;
    let request = question(&caller, &args.call).await?;
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    if args.stream {
        let pieces = client.model_stream_infer(caller.request(stream::iter([request]))).await?.into_inner();
        return follow(pieces, screen).await;
    }
    let answer = client.model_infer(caller.request(request)).await?.into_inner();
    let shown = shown(answer)?;
    screen.show(&shown, || text(&shown))
}

/// The request that is typed, after what the model takes.
pub(super) async fn question(caller: &Caller, args: &CallArgs) -> Result<ModelInferRequest> {
    let described = metadata(caller, &args.name, &args.version).await?;
    // A model may take something in place of its tensors.
    let instead = content(&described.properties).map(|content| content.inputs).unwrap_or_default();
    let own = described.inputs.into_iter().filter_map(|input| Some((input.name, input.datatype.parse().ok()?, input.shape)));
    let takes: Vec<Takes> = own.chain(instead.into_iter().map(|input| (input.name, input.kind.datatype, input.kind.shape))).collect();
    let mut request = ModelInferRequest { model_name: args.name.clone(), model_version: args.version.clone(), ..Default::default() };
    for given in &args.inputs {
        let (name, Tensor { datatype, shape, data }) = input(given, &args.name, &takes)?;
        request.inputs.push(InferInputTensor { name, datatype: datatype.name().to_owned(), shape, ..Default::default() });
        request.raw_input_contents.push(data);
    }
    Ok(request)
}

/// The name, the datatype and the shape of an input.
type Takes = (String, Datatype, Vec<i64>);

/// What is typed for an input.
fn input(given: &str, model: &str, takes: &[Takes]) -> Result<(String, Tensor)> {
    let (name, value) = given.split_once('=').ok_or_else(|| Failure::new(USAGE, format!("{given} must have the form INPUT=VALUE")))?;
    let Some((_, datatype, shape)) = takes.iter().find(|(known, ..)| known == name) else {
        let names: Vec<_> = takes.iter().map(|(name, ..)| name.as_str()).collect();
        return Err(Failure::new(USAGE, format!("{model} takes no {name}; it takes {}", names.join(", "))));
    };
    let tensor = match value.strip_prefix('@').filter(|_| *datatype == Datatype::Bytes).map(Path::new) {
        Some(path) => values::file(&std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?, shape),
        None => values::read(value, *datatype, shape).map_err(|reason| Failure::new(USAGE, format!("{name}: {reason}")))?,
    };
    Ok((name.to_owned(), tensor))
}

/// Shows the texts of a stream as they come; as JSON, a line for each piece.
async fn follow(mut pieces: Streaming<ModelStreamInferResponse>, screen: &Screen) -> Result<()> {
    while let Some(ModelStreamInferResponse { error_message, infer_response }) = pieces.message().await? {
        if !error_message.is_empty() {
            return Err(Failure::new(FAILED, error_message));
        }
        let Some(piece) = infer_response else { continue };
        let shown = shown(piece)?;
        let said = if screen.is_json() { format!("{}\n", Value::Object(shown)) } else { words(&shown) };
        let mut out = std::io::stdout();
        if out.write_all(said.as_bytes()).and_then(|()| out.flush()).is_err() {
            // The reader has had enough (`| head`).
            return Ok(());
        }
    }
    if screen.is_json() { Ok(()) } else { screen.show(&(), String::new) }
}

/// The elements of a piece, one behind the other.
fn words(shown: &Map<String, Value>) -> String {
    let all = shown.values().filter_map(|output| output["value"].as_array()).flatten();
    all.map(|element| element.as_str().map_or_else(|| element.to_string(), str::to_owned)).collect()
}

fn shown(answer: ModelInferResponse) -> Result<Map<String, Value>> {
    let mut shown = Map::new();
    for (output, data) in answer.outputs.into_iter().zip(answer.raw_output_contents) {
        let wrong = |reason: String| Failure::new(FAILED, format!("the answer's {} cannot be read: {reason}", output.name));
        let datatype = output.datatype.parse().map_err(|error: torchmesh_api::tensor::UnknownDatatype| wrong(error.to_string()))?;
        let tensor = Tensor { datatype, shape: output.shape.clone(), data };
        let value = values::write(&tensor).map_err(wrong)?;
        shown.insert(output.name.clone(), json!({ "datatype": output.datatype, "shape": output.shape, "value": value }));
    }
    Ok(shown)
}

fn text(shown: &Map<String, Value>) -> String {
    let line = |(name, output): (&String, &Value)| {
        format!("{name}  {} {}\n  {}", output["datatype"].as_str().unwrap_or(""), output["shape"], output["value"])
    };
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}
