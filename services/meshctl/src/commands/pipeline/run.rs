//! `meshctl pipeline run`: one call, with what is typed, and everything that comes back.

use serde_json::{Map, Value, json};
use torchmesh_api::{
    inference::{
        ModelInferRequest, ModelInferResponse, grpc_inference_service_client::GrpcInferenceServiceClient,
        model_infer_request::InferInputTensor,
    },
    tensor::Tensor,
};

use super::{metadata, values};
use crate::{
    cli::RunArgs,
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// Asks what it takes, sends that, and shows what comes.
pub(super) async fn run(args: &RunArgs, home: &Home, screen: &Screen) -> Result<()> {
    let caller = Caller::connect(&args.client, home).await?;
    let takes = metadata(&caller, &args.name, &args.version).await?.inputs;
    let mut request = ModelInferRequest { model_name: args.name.clone(), model_version: args.version.clone(), ..Default::default() };
    for given in &args.inputs {
        let (name, value) = given.split_once('=').ok_or_else(|| Failure::new(USAGE, format!("{given} must have the form INPUT=VALUE")))?;
        let Some(tensor) = takes.iter().find(|tensor| tensor.name == name) else {
            let names: Vec<_> = takes.iter().map(|tensor| tensor.name.as_str()).collect();
            return Err(Failure::new(USAGE, format!("{} takes no {name}; it takes {}", args.name, names.join(", "))));
        };
        let Tensor { datatype, shape, data } =
            values::read(value, &tensor.datatype, &tensor.shape).map_err(|reason| Failure::new(USAGE, format!("{name}: {reason}")))?;
        let (name, datatype) = (name.to_owned(), datatype.name().to_owned());
        request.inputs.push(InferInputTensor { name, datatype, shape, ..Default::default() });
        request.raw_input_contents.push(data);
    }
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let answer = client.model_infer(caller.request(request)).await?.into_inner();
    let shown = shown(answer)?;
    screen.show(&shown, || text(&shown))
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
