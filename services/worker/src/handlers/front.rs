//! What all handlers share: the models, and the way of a tensor request through one of them.

use std::{sync::Arc, time::Instant};

use tonic::Response;
use torchmesh_api::{
    error::ApiError,
    inference::{ModelInferRequest, ModelInferResponse},
    usage::Figures,
};

use super::{
    answer::answer,
    call::{CallInfo, Outcome, Routed},
    content, generation,
};
use crate::{
    admission::Answers,
    decoding::DecodingPool,
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
    /// The threads that decode images and sound.
    pub decoders: DecodingPool,
}

impl Front {
    /// The model that a message and its headers agree on.
    pub(super) fn find(&self, routed: &Routed, name: &str, version: &str) -> Result<Arc<Model>, ApiError> {
        let (name, version) = routed.target(name, version)?;
        self.registry.find(name, version)
    }

    /// Runs a tensor request.
    pub(super) async fn infer(
        &self,
        routed: &Routed,
        request: ModelInferRequest,
        call: CallInfo,
    ) -> Result<Response<ModelInferResponse>, ApiError> {
        let model = self.find(routed, &request.model_name, &request.model_version)?;
        if model.serving().is_ok_and(|serving| serving.language().is_some()) {
            return generation::infer(self, model, request, call).await;
        }
        let outcome = Outcome::begin(&*model, call.deadline);
        outcome.end(run(self, &model, request, call).await)
    }
}

async fn run(
    front: &Front,
    model: &Model,
    request: ModelInferRequest,
    mut call: CallInfo,
) -> Result<Response<ModelInferResponse>, ApiError> {
    let serving = model.serving()?;
    let wishes = infer::wishes(&request)?;
    call.caller = call.caller.asking(wishes.priority);
    if let Some(timeout) = wishes.timeout {
        let deadline = Instant::now() + timeout;
        call.deadline = Some(call.deadline.map_or(deadline, |sooner| sooner.min(deadline)));
    }
    if content::is_sent(serving, &request) {
        return content::infer(front, model, serving, request, call).await;
    }
    let infer::Decoded { part, wanted, id } = infer::decode(request, serving)?;
    let tokens = if serving.text().is_some() { part.rows * part.length } else { 0 };
    let used = Figures { prompt_tokens: tokens as u64, items: part.rows as u64, ..Figures::default() };
    let Answers { answered, spent } = serving.queue.push(call.submission(vec![part]))?.await?;
    let response = infer::encode(model, &serving.outputs, id, &wanted, answered);
    Ok(answer(response, spent, used, model))
}
