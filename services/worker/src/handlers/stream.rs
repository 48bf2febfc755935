//! `ModelStreamInfer`: requests come and answers go on one stream, in the same order.

use std::{pin::Pin, sync::Arc, time::Instant};

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};
use torchmesh_api::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice,
};

use super::{
    Front,
    call::{CallInfo, Routed},
    generation,
};
use crate::admission::deadline_exceeded;

/// Requests of one stream that may be at work at once; the stream is read no further until the first of them is answered.
const AT_ONCE: usize = 64;
/// The response parameter that says whether this is a request's last response. Where a request has one response that is always so, and a client who asked
/// for an empty last one needs none besides.
const FINAL: &str = "triton_final_response";

/// The request parameter by which a client asks for a last response without outputs where it cannot know how many come.
const WANTS_EMPTY_FINAL: &str = "triton_enable_empty_final_response";

type Responses = Pin<Box<dyn Stream<Item = ModelStreamInferResponse> + Send>>;

/// The answers to a stream of requests. A request that fails is answered with its error, and the stream goes on.
pub(super) fn answers(
    front: Arc<Front>,
    routed: Routed,
    call: CallInfo,
    requests: Streaming<ModelInferRequest>,
) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send + 'static {
    let deadline = call.deadline;
    let answers = requests.map(move |request| {
        let (front, routed, call) = (Arc::clone(&front), routed.clone(), call.clone());
        async move { Ok(responses(&front, &routed, request?, call).await) }
    });
    let answers = answers.buffered(AT_ONCE).flat_map(|responses: Result<Responses, Status>| match responses {
        Ok(responses) => responses.map(Ok).boxed(),
        Err(status) => stream::iter([Err(status)]).boxed(),
    });
    until(deadline, answers)
}

/// The responses to one request: one, or of a language model as many as there are pieces of its answer.
async fn responses(front: &Front, routed: &Routed, request: ModelInferRequest, call: CallInfo) -> Responses {
    let model = match front.find(routed, &request.model_name, &request.model_version) {
        Ok(model) if model.serving().is_ok_and(|serving| serving.language().is_some()) => model,
        _ => return Box::pin(stream::iter([one(front, routed, request, call).await])),
    };
    let wants_final = request.parameters.get(WANTS_EMPTY_FINAL).and_then(|parameter| parameter.parameter_choice.as_ref());
    let empty = (wants_final == Some(&ParameterChoice::BoolParam(true))).then(|| ModelInferResponse {
        model_name: request.model_name.clone(),
        model_version: model.version_text.clone(),
        id: request.id.clone(),
        ..Default::default()
    });
    match generation::stream(front, model, request, call).await {
        Ok(pieces) => {
            let pieces = pieces.map(|piece| match piece {
                Ok(piece) => response(piece, false),
                Err(status) => failure(status.message()),
            });
            Box::pin(pieces.chain(stream::iter(empty.map(|empty| response(empty, true)))))
        }
        Err(error) => Box::pin(stream::iter([failure(&error.message)])),
    }
}

async fn one(front: &Front, routed: &Routed, request: ModelInferRequest, call: CallInfo) -> ModelStreamInferResponse {
    match front.infer(routed, request, call).await {
        Ok(answer) => response(answer.into_inner(), true),
        Err(error) => failure(&error.message),
    }
}

fn response(mut answer: ModelInferResponse, last: bool) -> ModelStreamInferResponse {
    answer.parameters.insert(FINAL.to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(last)) });
    ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) }
}

fn failure(message: &str) -> ModelStreamInferResponse {
    ModelStreamInferResponse { error_message: message.to_owned(), infer_response: None }
}

/// Ends a stream of answers with an error at the deadline, which the timer in front of the handlers cannot see: it stops when the stream begins.
pub(super) fn until<S, T>(deadline: Option<Instant>, answers: S) -> impl Stream<Item = Result<T, Status>> + Send + 'static
where
    S: Stream<Item = Result<T, Status>> + Send + 'static,
    T: Send + 'static,
{
    stream::unfold(Some(Box::pin(answers)), move |answers| async move {
        let mut answers = answers?;
        let next = match deadline {
            None => answers.next().await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), answers.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Err(deadline_exceeded().into()), None)),
            },
        };
        let next = next?;
        let more = next.is_ok().then_some(answers);
        Some((next, more))
    })
}
