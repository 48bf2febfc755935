//! What all handlers share: the models, and the way of a tensor request through one of them.

use std::sync::Arc;

use torchmesh_api::{
    error::ApiError,
    inference::{ModelInferRequest, ModelInferResponse},
};

use super::call::{CallInfo, Outcome, Routed};
use crate::{
    admission::Submission,
    infer,
    models::{Model, Registry},
    text::TokeniserPool,
};

/// The handlers' common ground.
#[derive(Debug)]
pub struct Front {
    /// The models.
    pub registry: Arc<Registry>,
    /// The threads that tokenise.
    pub tokenisers: TokeniserPool,
}

impl Front {
    /// The model that a message and its headers agree on.
    pub(super) fn find(&self, routed: &Routed, name: &str, version: &str) -> Result<Arc<Model>, ApiError> {
        let version = routed.version(name, version)?;
        self.registry.find(name, version)
    }

    /// Runs a tensor request.
    pub(super) async fn infer(&self, routed: &Routed, request: ModelInferRequest, call: CallInfo) -> Result<ModelInferResponse, ApiError> {
        let model = self.find(routed, &request.model_name, &request.model_version)?;
        let outcome = Outcome::begin(&model, call.deadline);
        outcome.end(run(&model, request, call).await)
    }
}

async fn run(model: &Model, request: ModelInferRequest, call: CallInfo) -> Result<ModelInferResponse, ApiError> {
    let serving = model.serving()?;
    let infer::Decoded { part, wanted, id } = infer::decode(request, serving)?;
    let submission = Submission { parts: vec![part], deadline: call.deadline, span: call.span };
    let answered = serving.queue.push(submission)?.await?;
    Ok(infer::encode(model, &serving.outputs, id, &wanted, answered))
}
