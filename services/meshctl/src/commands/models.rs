//! `meshctl models`: what the mesh serves.

use serde::Serialize;
use torchmesh_api::inference::{RepositoryIndexRequest, grpc_inference_service_client::GrpcInferenceServiceClient};

use crate::{
    cli::ClientArgs,
    client::{Caller, MAX_ANSWER},
    error::{Failure, Result},
    home::Home,
    output::{Colour, Screen, table},
};

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Model {
    /// Its name.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// READY, LOADING, UNAVAILABLE and so on, as the protocol has it.
    pub(super) state: String,
    /// Why it is in that state, if there is something to say.
    pub(super) reason: String,
}

/// Lists the models.
pub(crate) async fn models(args: &ClientArgs, home: &Home, screen: &Screen) -> Result<()> {
    let caller = Caller::connect(args, home).await?;
    let models = index(&caller).await?;
    screen.show(&models, || text(&models, screen))
}

/// The mesh's list, by name and version.
pub(super) async fn index(caller: &Caller) -> Result<Vec<Model>> {
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let answer = client.repository_index(caller.request(RepositoryIndexRequest::default())).await.map_err(Failure::from)?;
    let listed = answer.into_inner().models.into_iter();
    let mut models: Vec<_> =
        listed.map(|one| Model { name: one.name, version: one.version, state: one.state, reason: one.reason }).collect();
    models.sort_by(|a, b| (&a.name, number(&a.version), &a.version).cmp(&(&b.name, number(&b.version), &b.version)));
    models.dedup();
    Ok(models)
}

/// Versions are numbers; 10 comes after 9.
fn number(version: &str) -> u64 {
    version.parse().unwrap_or(u64::MAX)
}

fn text(models: &[Model], screen: &Screen) -> String {
    if models.is_empty() {
        return "the mesh serves no model; `make setup` fetches minilm".to_owned();
    }
    let colour = |state: &str| match state {
        "READY" => Colour::Green,
        "LOADING" | "UNLOADING" => Colour::Yellow,
        _ => Colour::Red,
    };
    let row =
        |model: &Model| [model.name.clone(), model.version.clone(), screen.paint(colour(&model.state), &model.state), model.reason.clone()];
    table(["model", "version", "state", "reason"], models.iter().map(row))
}
