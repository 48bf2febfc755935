//! `ModelInfer`: one call of a pipeline.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tonic::{Request, Response, metadata::MetadataMap};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{X_TORCHMESH_COMPUTE_US, X_TORCHMESH_USAGE},
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::Tensor,
    usage::{Figures, Usage},
};
use torchmesh_layers::call::{CallContext, ServedModel};
use torchmesh_pipeline::run::{Ended, Used, run};

use super::{Routed, Serves};
use crate::{
    caller::{Caller, depth},
    message,
    registry::{Serving, Version},
    tries::{self, TRACE_STEPS, Tries},
};

/// The longest id of a caller, in bytes.
const MAX_ID: usize = 128;

/// What a call brings beside its message.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) routed: Routed,
    pub(super) context: CallContext,
    pub(super) headers: HeaderMap,
}

impl Received {
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, ApiError> {
        let headers = request.metadata().as_ref();
        let context = request.extensions().get::<CallContext>().cloned();
        // The layers in front have put it there.
        let context = context.ok_or_else(|| ApiError::new(ErrorKind::Internal, "the call came past the layers"))?;
        Ok(Self { routed: Routed::of(headers), context, headers: headers.clone() })
    }
}

/// A call of which everything has been checked that can be before it runs.
pub(super) struct Ready {
    pub(super) version: Arc<Version>,
    pub(super) serving: Arc<Serving>,
    pub(super) inputs: Vec<Tensor>,
    /// The outputs that are wanted, by their positions.
    pub(super) wanted: Vec<usize>,
    pub(super) id: String,
    pub(super) deadline: Instant,
    pub(super) depth: u32,
}

/// Reads and checks one call.
pub(super) fn check(serves: &Serves, call: &Received, mut request: ModelInferRequest) -> Result<Ready, ApiError> {
    let depth = depth(&call.headers, serves.max_depth)?;
    let (name, version) = (std::mem::take(&mut request.model_name), std::mem::take(&mut request.model_version));
    let (name, version) = call.routed.target(&name, &version)?;
    let (version, serving) = serves.registry.find(name, version)?;
    if request.id.len() > MAX_ID {
        return Err(ApiError::new(ErrorKind::InvalidArgument, format!("id has {} bytes; send at most {MAX_ID}", request.id.len())));
    }
    let wanted = message::wanted(&request, &serving.signature.outputs)?;
    let inputs = message::inputs(&mut request, &serving.signature.inputs)?;
    let deadline = call.context.deadline.ok_or_else(|| ApiError::new(ErrorKind::Internal, "the call has no deadline"))?;
    Ok(Ready { version, serving, inputs, wanted, id: request.id, deadline: deadline.into(), depth })
}

/// What comes of a call.
pub(super) struct Answered {
    pub(super) message: ModelInferResponse,
    /// What its steps have used together.
    pub(super) used: Figures,
    version: Arc<Version>,
    compute_us: u64,
}

/// Answers one call.
pub(super) async fn answer(serves: &Serves, call: &Received, request: ModelInferRequest) -> Result<Answered, ApiError> {
    let tries = (serves.tell_steps && tries::are_wanted(&request)).then(|| Tries::new(std::time::Instant::now()));
    let Ready { version, serving, inputs, wanted, id, deadline, depth } = check(serves, call, request)?;
    let mut caller = Caller::new(&serves.mesh, &serves.steps, &version, call.context.clone(), &call.headers, depth);
    caller.tries = tries;
    let Ended { outputs, used } = run(&serving.plan, inputs, deadline, &caller).await;
    let mut outputs = outputs.map_err(ApiError::from)?;
    let named = wanted.into_iter().filter_map(|at| Some((serving.signature.outputs[at].name.clone(), outputs[at].take()?)));
    let mut message = message::response(version.name.as_str(), version.version.to_string(), id, named);
    let compute_us = caller.compute_us();
    message.parameters.extend(caller.tries.map(|tries| (TRACE_STEPS.to_owned(), tries.parameter())));
    Ok(Answered { message, used: sum(&used), version, compute_us })
}

/// Answers one call, and says beside the message what it has used.
pub(super) async fn infer(serves: &Serves, call: &Received, request: ModelInferRequest) -> Result<Response<ModelInferResponse>, ApiError> {
    let Answered { message, used, version, compute_us } = answer(serves, call, request).await?;
    let mut response = Response::new(message);
    *response.metadata_mut() = MetadataMap::from_headers(told(&version, used, compute_us));
    response.extensions_mut().insert(ServedModel(version.name.clone()));
    Ok(response)
}

/// What whoever meters calls is told: the pipeline, and what its steps have used together.
fn told(version: &Version, figures: Figures, compute_us: u64) -> HeaderMap {
    let number = version.version.to_string();
    let usage = Usage { model: version.name.as_str(), version: &number, load: version.load, figures };
    let values: [(HeaderName, String); 2] = [(X_TORCHMESH_USAGE, usage.to_string()), (X_TORCHMESH_COMPUTE_US, compute_us.to_string())];
    // Digits and plain words are always a valid value.
    let valid = values.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
    valid.collect()
}

/// What all steps have used together.
pub(super) fn sum(used: &[Used]) -> Figures {
    let mut figures = Figures::default();
    for Used { figures: step, .. } in used {
        figures.prompt_tokens += step.prompt_tokens;
        figures.cached_tokens += step.cached_tokens;
        figures.completion_tokens += step.completion_tokens;
        figures.items += step.items;
        figures.audio_ms += step.audio_ms;
    }
    figures
}
