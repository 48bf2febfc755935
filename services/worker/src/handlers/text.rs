//! `torchmesh.text.v1.TextService`.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use tonic::{Request, Response, Status};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    text::v1::{EmbedRequest, EmbedResponse, Embedding, TokenIds, Truncation as WireTruncation, text_service_server::TextService},
};

use super::{
    Front,
    call::{CallInfo, Outcome, Routed},
};
use crate::{
    admission::{Answered, Part, Submission},
    manifest::{ATTENTION_MASK, INPUT_IDS, Truncation},
    models::{Model, Serving, TextModel},
    tensor::{Datatype, Tensor},
    text::{Job, Tokenised},
};

/// The longest id of a caller, in bytes.
const MAX_ID: usize = 128;

/// Text in, vectors out.
#[derive(Clone, Debug)]
pub struct Text {
    front: Arc<Front>,
}

impl Text {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }

    async fn run(&self, model: &Model, request: EmbedRequest, call: CallInfo) -> Result<EmbedResponse, ApiError> {
        let serving = model.serving()?;
        let Some(text) = &serving.text else {
            let message = format!("model \"{}\" does not embed text; call it with ModelInfer", model.name);
            return Err(ApiError::new(ErrorKind::Unimplemented, message));
        };
        check(&request, serving)?;
        let truncation = truncation(&request, text)?;
        let tokenised = if request.texts.is_empty() {
            given(request.tokens, text, truncation)?
        } else {
            let (tokeniser, seconds) = (Arc::clone(&text.tokeniser), model.metrics.tokenise_seconds.clone());
            self.front.tokenisers.tokenise(Job { tokeniser, texts: request.texts, truncation, seconds }).await?
        };
        let parts = tokenised.iter().map(|tokenised| part(tokenised, serving, text)).collect();
        let answered = serving.queue.push(Submission { parts, deadline: call.deadline, span: call.span })?.await?;
        Ok(EmbedResponse {
            model: model.name.as_str().to_owned(),
            model_version: model.version_text.clone(),
            id: request.id,
            embeddings: answered.into_iter().zip(tokenised).map(embedding).collect(),
        })
    }
}

#[tonic::async_trait]
impl TextService for Text {
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let (routed, call) = (Routed::of(request.metadata().as_ref()), CallInfo::of(&request));
        let request = request.into_inner();
        let model = self.front.find(&routed, &request.model, &request.model_version)?;
        let outcome = Outcome::begin(&model, call.deadline);
        outcome.end(self.run(&model, request, call).await).map(Response::new).map_err(Status::from)
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

fn check(request: &EmbedRequest, serving: &Serving) -> Result<(), ApiError> {
    if request.id.len() > MAX_ID {
        return Err(invalid(format!("id has {} bytes; send at most {MAX_ID}", request.id.len())));
    }
    let limit = serving.manifest.queue.max_rows;
    let (field, count) = match (request.texts.len(), request.tokens.len()) {
        (0, 0) => return Err(invalid(format!("texts is empty; send 1 to {limit} texts"))),
        (texts, 0) => ("texts", texts),
        (0, tokens) => ("tokens", tokens),
        _ => return Err(invalid("texts and tokens are both set; send one of the two")),
    };
    if count > limit {
        return Err(invalid(format!("{field} has {count} entries, and this model takes {limit} at once; send them in parts")));
    }
    Ok(())
}

fn truncation(request: &EmbedRequest, text: &TextModel) -> Result<Truncation, ApiError> {
    match WireTruncation::try_from(request.truncation) {
        Ok(WireTruncation::Unspecified) => Ok(text.settings.truncation),
        Ok(WireTruncation::Reject) => Ok(Truncation::Reject),
        Ok(WireTruncation::End) => Ok(Truncation::End),
        Err(_) => Err(invalid(format!("truncation is {}; send 0 (the model's own), 1 (reject) or 2 (cut the end)", request.truncation))),
    }
}

/// Token ids that the caller made: checked, because an id outside the vocabulary would fail the whole batch.
fn given(tokens: Vec<TokenIds>, text: &TextModel, truncation: Truncation) -> Result<Vec<Tokenised>, ApiError> {
    let (limit, vocabulary) = (text.settings.max_tokens, text.tokeniser.vocabulary());
    let one = |(at, TokenIds { mut ids }): (usize, TokenIds)| {
        if ids.is_empty() {
            return Err(invalid(format!("tokens[{at}] is empty; send at least one id")));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(invalid(format!("tokens[{at}] has id {id}; ids of this model go from 0 to {}", vocabulary.saturating_sub(1))));
        }
        let truncated = ids.len() > limit;
        if truncated && truncation == Truncation::Reject {
            return Err(invalid(format!(
                "tokens[{at}] has {} ids, and this model reads {limit}; shorten it, or ask for truncation at the end",
                ids.len()
            )));
        }
        ids.truncate(limit);
        Ok(Tokenised { ids, truncated })
    };
    tokens.into_iter().enumerate().map(one).collect()
}

/// One text as the model's inputs, in the order of its manifest.
fn part(tokenised: &Tokenised, serving: &Serving, text: &TextModel) -> Part {
    let length = tokenised.ids.len();
    let shape = vec![1, i64::try_from(length).unwrap_or(i64::MAX)];
    let inputs = serving.manifest.inputs.iter().map(|input| {
        let data = match input.name.as_str() {
            INPUT_IDS => ids(&tokenised.ids),
            ATTENTION_MASK => text.ones.slice(..length * 8),
            // The manifest lets in nothing else but `token_type_ids`, which is zero for a single text.
            _ => text.zeros.slice(..length * 8),
        };
        Tensor { datatype: Datatype::Int64, shape: shape.clone(), data }
    });
    Part { rows: 1, length, shape: Box::default(), inputs: inputs.collect() }
}

fn ids(ids: &[u32]) -> Bytes {
    let mut data = BytesMut::with_capacity(ids.len() * 8);
    for &id in ids {
        data.put_i64_le(i64::from(id));
    }
    data.freeze()
}

fn embedding((answered, tokenised): (Answered, Tokenised)) -> Embedding {
    let values = answered.outputs.first().and_then(Tensor::to_f32s).unwrap_or_default();
    Embedding { values, tokens: u32::try_from(tokenised.ids.len()).unwrap_or(u32::MAX), truncated: tokenised.truncated }
}
