//! `torchmesh.vision.v1.VisionService`.

mod answers;
mod look;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use torchmesh_api::{
    error::ApiError,
    vision::v1::{
        ClassifyRequest, ClassifyResponse, DetectRequest, DetectResponse, ImageClasses, ImageDetections,
        vision_service_server::VisionService,
    },
};

use self::look::Seen;
use super::{
    Front,
    answer::Spending,
    call::{CallInfo, Outcome, Routed, check_id, invalid, unfit},
};
use crate::{
    manifest::Task,
    models::{Model, Serving},
};

/// The vision API on top of the models.
#[derive(Clone, Debug)]
pub struct Vision {
    front: Arc<Front>,
}

impl Vision {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }
}

/// A call that has found its model.
struct VisionCall<'a> {
    front: &'a Front,
    model: &'a Model,
    serving: &'a Serving,
    info: CallInfo,
    spending: &'a Spending,
}

impl<'a> VisionCall<'a> {
    fn begin(
        front: &'a Front,
        model: &'a Model,
        info: CallInfo,
        spending: &'a Spending,
        id: &str,
        images: usize,
    ) -> Result<Self, ApiError> {
        let serving = model.serving()?;
        check_id(id)?;
        let limit = serving.manifest.queue.max_rows;
        match images {
            0 => Err(invalid(format!("images is empty; send 1 to {limit} images"))),
            images if images > limit => {
                Err(invalid(format!("images has {images} entries, and this model takes {limit} at once; send them in parts")))
            }
            _ => Ok(Self { front, model, serving, info, spending }),
        }
    }

    fn task(&self) -> &'a Task {
        &self.serving.manifest.task
    }

    async fn classify(self, request: ClassifyRequest) -> Result<ClassifyResponse, ApiError> {
        let task = self.task();
        let Task::ClassifyImage(settings) = task else { return Err(unfit(self.model, task.word(), "classify images")) };
        let wanted = answers::Wanted::of(&request, settings.top_k)?;
        let seen = self.look(request.images, &settings.image).await?;
        let classes = |seen: Seen| {
            let labels = answers::labels(&seen.outputs, task, settings.function, wanted)?;
            Ok(ImageClasses { labels, width: seen.placed.image.0, height: seen.placed.image.1 })
        };
        let images = seen.into_iter().map(classes).collect::<Result<_, ApiError>>()?;
        Ok(ClassifyResponse { model: self.model.name.to_string(), model_version: self.model.version_text.clone(), id: request.id, images })
    }

    async fn detect(self, request: DetectRequest) -> Result<DetectResponse, ApiError> {
        let task = self.task();
        let Task::DetectObjects(settings) = task else { return Err(unfit(self.model, task.word(), "detect objects")) };
        let rule = answers::rule(&request, settings.detector.rule)?;
        let seen = self.look(request.images, &settings.image).await?;
        let detections = |seen: Seen| {
            let detections = answers::detections(&seen, task, settings, rule)?;
            Ok(ImageDetections { detections, width: seen.placed.image.0, height: seen.placed.image.1 })
        };
        let images = seen.into_iter().map(detections).collect::<Result<_, ApiError>>()?;
        Ok(DetectResponse { model: self.model.name.to_string(), model_version: self.model.version_text.clone(), id: request.id, images })
    }
}

/// What [`VisionService::classify`] answers, for a call that has come another way and found its model.
pub(super) async fn classify_images(
    front: &Front,
    model: &Model,
    info: CallInfo,
    spending: &Spending,
    request: ClassifyRequest,
) -> Result<ClassifyResponse, ApiError> {
    VisionCall::begin(front, model, info, spending, &request.id, request.images.len())?.classify(request).await
}

/// One method of the service: the model by the fields that every request has, the count of the call, and the work.
macro_rules! methods {
    ($($name:ident($request:ident) -> $response:ident;)*) => {
        #[tonic::async_trait]
        impl VisionService for Vision {$(
            async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
                let request = request.into_inner();
                let model = self.front.find(&routed, &request.model, &request.model_version)?;
                let outcome = Outcome::begin(&*model, info.deadline);
                let spending = Spending::default();
                let answered = async {
                    let images = request.images.len();
                    VisionCall::begin(&self.front, &model, info, &spending, &request.id, images)?.$name(request).await
                };
                let message = outcome.end(answered.await)?;
                Ok(spending.answer(message, &model))
            }
        )*}
    };
}

methods! {
    classify(ClassifyRequest) -> ClassifyResponse;
    detect(DetectRequest) -> DetectResponse;
}
