//! `ModelStreamInfer`: requests come and answers go on one stream, in the same order.

use std::{sync::Arc, time::Instant};

use futures_util::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};
use torchmesh_api::inference::{InferParameter, ModelInferRequest, ModelStreamInferResponse, infer_parameter::ParameterChoice};

use super::{
    Front,
    call::{CallInfo, Routed},
};
use crate::admission::deadline_exceeded;

/// Requests of one stream that may be at work at once; the stream is read no further until the first of them is answered.
const AT_ONCE: usize = 64;
/// The response parameter that says whether more responses follow for a request. One response a request: always true here, so that
/// a client who asked for `triton_enable_empty_final_response` has its final response and no empty one need follow.
const FINAL: &str = "triton_final_response";

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
        async move { Ok(one(&front, &routed, request?, call).await) }
    });
    until(deadline, answers.buffered(AT_ONCE))
}

async fn one(front: &Front, routed: &Routed, request: ModelInferRequest, call: CallInfo) -> ModelStreamInferResponse {
    match front.infer(routed, request, call).await {
        Ok(response) => {
            let mut response = response.into_inner();
            response.parameters.insert(FINAL.to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) });
            ModelStreamInferResponse { error_message: String::new(), infer_response: Some(response) }
        }
        Err(error) => ModelStreamInferResponse { error_message: error.message, infer_response: None },
    }
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
