//! `ModelStreamInfer`: requests come and answers go on one stream, in the same order; one answer for each, or of a pipeline with a `stream` as many as there are
//! pieces.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};
use torchmesh_api::{
    error::ApiError,
    inference::{ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice},
    usage::Figures,
};
use torchmesh_pipeline::{
    plan::From,
    run::{Begun, Call, run_to},
    spec::{Calls, Choice, Parameter, Work},
};

use super::{
    Serves,
    infer::{Ready, Received, answer, check, sum},
    pieces::{Pieces, Renamed, tell},
};
use crate::{caller::Caller, message, registry::Serving};

/// Requests of one stream that may be at work at once; the stream is read no further until the first of them is answered.
const AT_ONCE: usize = 16;
/// The request parameter by which a client asks for a last response without outputs where it cannot know how many come.
const WANTS_EMPTY_FINAL: &str = "triton_enable_empty_final_response";

type Responses = Pin<Box<dyn Stream<Item = ModelStreamInferResponse> + Send>>;

/// A request that fails is answered with its error, and the stream goes on.
pub(super) fn answers(
    serves: Arc<Serves>,
    call: Received,
    requests: Streaming<ModelInferRequest>,
) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send + 'static {
    let respond = move |request: Result<ModelInferRequest, Status>| {
        let (serves, call) = (Arc::clone(&serves), call.clone());
        async move { Ok(responses(&serves, &call, request?).await) }
    };
    requests.map(respond).buffered(AT_ONCE).flat_map(|responses: Result<Responses, Status>| match responses {
        Ok(responses) => responses.map(Ok).boxed(),
        Err(status) => stream::iter([Err(status)]).boxed(),
    })
}

async fn responses(serves: &Serves, call: &Received, request: ModelInferRequest) -> Responses {
    let answered = match streamed(serves, call, &request) {
        Some(node) => pieces(serves, call, request, node).await,
        None => answer(serves, call, request).await.map(|answered| last(answered.message, &answered.used)),
    };
    answered.unwrap_or_else(|error| one(failure(&error)))
}

fn one(response: ModelStreamInferResponse) -> Responses {
    Box::pin(stream::iter([response]))
}

/// An answer that comes whole, with what it has used.
fn last(mut message: ModelInferResponse, used: &Figures) -> Responses {
    tell(&mut message, used);
    one(whole(message))
}

/// A response that is an answer.
pub(super) fn whole(response: ModelInferResponse) -> ModelStreamInferResponse {
    ModelStreamInferResponse { infer_response: Some(response), ..Default::default() }
}

/// A response that is an error.
pub(super) fn failure(error: &ApiError) -> ModelStreamInferResponse {
    ModelStreamInferResponse { error_message: error.message.clone(), ..Default::default() }
}

/// The node whose answer goes on as it comes, where the pipeline has one.
fn streamed(serves: &Serves, call: &Received, request: &ModelInferRequest) -> Option<usize> {
    let (name, version) = call.routed.target(&request.model_name, &request.model_version).ok()?;
    serves.registry.find(name, version).ok()?.1.plan.stream
}

async fn pieces(serves: &Serves, call: &Received, request: ModelInferRequest, node: usize) -> Result<Responses, ApiError> {
    let began = Instant::now();
    let wants_final = request.parameters.get(WANTS_EMPTY_FINAL).and_then(|parameter| parameter.parameter_choice.as_ref());
    let wants_final = wants_final == Some(&ParameterChoice::BoolParam(true));
    let Ready { version, serving, inputs, wanted, id, deadline, depth } = check(serves, call, request)?;
    let deadline = serving.plan.pipeline.timeout.map_or(deadline, |timeout| deadline.min(began + timeout));
    let caller = Caller::new(&serves.mesh, &serves.steps, &version, call.context.clone(), &call.headers, depth);
    let Begun { inputs, used } = run_to(&serving.plan, node, inputs, deadline, &caller).await;
    let used = sum(&used);
    let Some(inputs) = inputs.map_err(ApiError::from)? else {
        return Ok(last(message::response(version.name.as_str(), version.version.to_string(), id, []), &used));
    };
    let (node, plan) = (&serving.plan.nodes[node], &serving.plan);
    let step = plan.step(node);
    let Work::Call(Calls { choice: Choice::One(target), parameters, .. }) = &step.work else {
        // A plan has no other step for this.
        return Err(ApiError::new(torchmesh_api::error::ErrorKind::Internal, "the last step has no model"));
    };
    let own = wants_final.then(|| (WANTS_EMPTY_FINAL.to_owned(), Parameter::Flag(true)));
    let parameters: Vec<_> = parameters.iter().cloned().chain(own).collect();
    let deadline = step.policy.timeout.map_or(deadline, |timeout| deadline.min(Instant::now() + timeout));
    let (cache, outputs) = (step.policy.cache, &node.outputs[..]);
    let asked = Call { step: &step.name, target, inputs: &inputs, parameters: &parameters, outputs, cache, attempt: 1, deadline };
    let (messages, counting, span) = caller.begin(&asked).await?;
    let renamed =
        Renamed { model: version.name.to_string(), version: version.version.to_string(), id, outputs: renamed(&serving, &wanted) };
    let step = step.name.clone();
    let pieces =
        Pieces { messages, counting: Some(counting), span, renamed, step, before: used, code: Code::Ok, counted: Figures::default() };
    Ok(Box::pin(pieces.into_stream()))
}

/// The wanted outputs, and what the step calls each of them.
fn renamed(serving: &Serving, wanted: &[usize]) -> Vec<(String, String)> {
    let name = |at: &usize| {
        let from = serving.plan.outputs[*at].first()?;
        let From::Output(node, output) = from else { return None };
        Some((serving.signature.outputs[*at].name.clone(), serving.plan.nodes[*node].outputs[*output].to_string()))
    };
    wanted.iter().filter_map(name).collect()
}
