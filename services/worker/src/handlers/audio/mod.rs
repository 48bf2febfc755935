//! `torchmesh.audio.v1.AudioService`.

mod forward;
mod live;
mod options;
pub(super) mod recording;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};
use torchmesh_api::audio::v1::{
    DetectVoiceLiveRequest, DetectVoiceLiveResponse, DetectVoiceRequest, DetectVoiceResponse, audio_service_server::AudioService,
};

use super::{
    Front,
    answer::Spending,
    call::{CallInfo, Outcome, Routed, check_id, invalid, unfit},
};

/// The audio API on top of the models.
#[derive(Clone, Debug)]
pub struct Audio {
    front: Arc<Front>,
}

impl Audio {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }
}

#[tonic::async_trait]
impl AudioService for Audio {
    async fn detect_voice(&self, request: Request<DetectVoiceRequest>) -> Result<Response<DetectVoiceResponse>, Status> {
        let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
        let request = request.into_inner();
        let model = self.front.find(&routed, &request.model, &request.model_version)?;
        let outcome = Outcome::begin(&*model, info.deadline);
        let spending = Spending::default();
        let message = outcome.end(recording::run(&self.front, &model, info, &spending, request).await)?;
        Ok(spending.answer(message, &model))
    }

    type DetectVoiceLiveStream = Pin<Box<dyn Stream<Item = Result<DetectVoiceLiveResponse, Status>> + Send>>;

    async fn detect_voice_live(
        &self,
        request: Request<Streaming<DetectVoiceLiveRequest>>,
    ) -> Result<Response<Self::DetectVoiceLiveStream>, Status> {
        let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
        let events = live::begin(Arc::clone(&self.front), routed, info, request.into_inner()).await?;
        Ok(events.map(|events| Box::pin(events) as Self::DetectVoiceLiveStream))
    }
}
