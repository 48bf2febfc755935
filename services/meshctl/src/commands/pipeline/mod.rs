//! `meshctl pipeline`: checks, draws and calls pipelines.

mod files;
mod lint;
mod run;
mod trace;
mod values;

use std::path::Path;

use torchmesh_api::inference::{ModelMetadataRequest, ModelMetadataResponse, grpc_inference_service_client::GrpcInferenceServiceClient};
use torchmesh_pipeline::{Plan, draw};

use crate::{
    cli::{PipelineArgs, PipelineCommand},
    client::Caller,
    error::{Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// Does what is asked.
pub(crate) async fn pipeline(args: &PipelineArgs, home: &Home, screen: &Screen) -> Result<()> {
    match &args.what {
        PipelineCommand::Lint(args) => lint::lint(args, home, screen).await,
        PipelineCommand::Draw { file, svg } => drawn(file, *svg, screen),
        PipelineCommand::Run(args) => run::run(args, home, screen).await,
        PipelineCommand::Trace(args) => trace::trace(args, home, screen).await,
    }
}

fn drawn(file: &Path, svg: bool, screen: &Screen) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    let plan = Plan::parse(&text).map_err(|problems| Failure::new(USAGE, format!("{} has mistakes:\n{problems}", file.display())))?;
    let picture = if svg { draw::svg(&plan) } else { draw::mermaid(&plan) };
    screen.show(&picture, || picture.trim_end().to_owned())
}

/// How the mesh describes a model.
async fn metadata(caller: &Caller, name: &str, version: &str) -> std::result::Result<ModelMetadataResponse, tonic::Status> {
    let question = ModelMetadataRequest { name: name.to_owned(), version: version.to_owned() };
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone());
    client.model_metadata(caller.request(question)).await.map(tonic::Response::into_inner)
}
