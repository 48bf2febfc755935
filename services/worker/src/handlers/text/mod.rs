//! `torchmesh.text.v1.TextService`.

mod classify;
mod classify_tokens;
mod embed;
mod explain;
mod fill;
mod forward;
mod rerank;

use std::sync::Arc;

use tonic::{Request, Response, Status};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{self as pb, ClassifyRequest, ClassifyResponse, EmbedRequest, EmbedResponse, text_service_server::TextService},
};

use super::{
    Front,
    answer::Spending,
    call::{CallInfo, Outcome, Routed, check_id, invalid, unfit},
};
use crate::models::{Model, Serving, TextModel};

/// The text API on top of the models.
#[derive(Clone, Debug)]
pub struct Text {
    front: Arc<Front>,
}

impl Text {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }
}

/// A call that has found its model.
struct TextCall<'a> {
    front: &'a Front,
    model: &'a Model,
    serving: &'a Serving,
    text: &'a TextModel,
    info: CallInfo,
    spending: &'a Spending,
}

/// One method of the service: the model by the fields that every request has, the count of the call, and the work.
macro_rules! methods {
    ($($name:ident($request:ident) -> $response:ident by $run:path;)*) => {
        #[tonic::async_trait]
        impl TextService for Text {$(
            async fn $name(&self, request: Request<pb::$request>) -> Result<Response<pb::$response>, Status> {
                let (routed, info) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request)?);
                let request = request.into_inner();
                let model = self.front.find(&routed, &request.model, &request.model_version)?;
                let (outcome, spending) = (Outcome::begin(&*model, info.deadline), Spending::default());
                let answered = async {
                    let call = TextCall::begin(&self.front, &model, info, &request.id, &spending)?;
                    $run(call, request).await
                };
                let message = outcome.end(answered.await)?;
                Ok(spending.answer(message, &model))
            }
        )*}
    };
}

methods! {
    embed(EmbedRequest) -> EmbedResponse by embed::run;
    classify(ClassifyRequest) -> ClassifyResponse by classify::run;
    classify_tokens(ClassifyTokensRequest) -> ClassifyTokensResponse by classify_tokens::run;
    fill(FillRequest) -> FillResponse by fill::run;
    rerank(RerankRequest) -> RerankResponse by rerank::run;
    explain(ExplainRequest) -> ExplainResponse by explain::run;
}

/// What [`TextService::embed`] answers, for a call that has come another way and found its model.
pub(super) async fn embed_texts(
    front: &Front,
    model: &Model,
    info: CallInfo,
    spending: &Spending,
    request: EmbedRequest,
) -> Result<EmbedResponse, ApiError> {
    embed::run(TextCall::begin(front, model, info, &request.id, spending)?, request).await
}

/// The same of [`TextService::classify`].
pub(super) async fn classify_texts(
    front: &Front,
    model: &Model,
    info: CallInfo,
    spending: &Spending,
    request: ClassifyRequest,
) -> Result<ClassifyResponse, ApiError> {
    classify::run(TextCall::begin(front, model, info, &request.id, spending)?, request).await
}

impl<'a> TextCall<'a> {
    fn begin(front: &'a Front, model: &'a Model, info: CallInfo, id: &str, spending: &'a Spending) -> Result<Self, ApiError> {
        let serving = model.serving()?;
        let Some(text) = serving.text() else {
            let message = format!("model \"{}\" does not read text; call it with ModelInfer", model.name);
            return Err(ApiError::new(ErrorKind::Unimplemented, message));
        };
        check_id(id)?;
        Ok(Self { front, model, serving, text, info, spending })
    }

    /// What a caller is told who asks a model for what it does not do.
    fn unfit(&self, does: &str) -> ApiError {
        unfit(self.model, self.serving.manifest.task.word(), does)
    }

    /// Whether a request has a number of entries that the model takes at once.
    fn count(&self, field: &str, count: usize) -> Result<(), ApiError> {
        let limit = self.serving.manifest.queue.max_rows;
        match count {
            0 => Err(invalid(format!("{field} is empty; send 1 to {limit} {field}"))),
            count if count > limit => {
                Err(invalid(format!("{field} has {count} entries, and this model takes {limit} at once; send them in parts")))
            }
            _ => Ok(()),
        }
    }

    fn model_name(&self) -> String {
        self.model.name.as_str().to_owned()
    }

    fn model_version(&self) -> String {
        self.model.version_text.clone()
    }
}

/// A count on the wire.
fn wire(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
