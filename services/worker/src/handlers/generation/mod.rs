//! `torchmesh.text.v1.GenerationService`.

mod answers;
mod chat;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generate;
mod infer;
mod prepare;
mod settings;
mod tell;
mod trace;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tonic::{Request, Response, Status};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{ChatRequest, ChatResponse, GenerateRequest, GenerateResponse, generation_service_server::GenerationService},
};

pub(super) use self::infer::{infer, stream};
use super::{
    Front,
    answer::used,
    call::{CallInfo, Outcome, Routed, check_id, invalid, unfit},
    stream::until,
};
use crate::{language::LanguageModel, models::Model};

/// The service for models that write.
#[derive(Clone, Debug)]
pub struct Generation {
    front: Arc<Front>,
}

impl Generation {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }
}

type Told<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = Told<GenerateResponse>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
        let request = request.into_inner();
        let model = self.front.find(&routed, &request.model, &request.model_version)?;
        let deadline = info.deadline;
        let (read, told) = generate::begin(&self.front, Arc::clone(&model), info, request).await?;
        Ok(used(Box::pin(until(deadline, told)), read, &model))
    }

    type ChatStream = Told<ChatResponse>;

    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<Self::ChatStream>, Status> {
        let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
        let request = request.into_inner();
        let model = self.front.find(&routed, &request.model, &request.model_version)?;
        let deadline = info.deadline;
        let (read, told) = chat::begin(&self.front, Arc::clone(&model), info, request).await?;
        Ok(used(Box::pin(until(deadline, told)), read, &model))
    }
}

/// The model of a call, if it is one that writes.
fn language(model: &Model, id: &str) -> Result<Arc<LanguageModel>, ApiError> {
    let serving = model.serving()?;
    check_id(id)?;
    serving.language().cloned().ok_or_else(|| unfit(model, serving.manifest.task.word(), "write text"))
}

/// What is wrong with a request as a whole, as the parts of the model say it.
fn refused(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, why.to_string())
}
