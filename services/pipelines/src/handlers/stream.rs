//! `ModelStreamInfer`: requests come and answers go on one stream, in the same order, one answer for each.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tonic::{Status, Streaming};
use torchmesh_api::inference::{ModelInferRequest, ModelStreamInferResponse};

use super::{
    Serves,
    infer::{Received, infer},
};

/// Requests of one stream that may be at work at once; the stream is read no further until the first of them is answered.
const AT_ONCE: usize = 16;

/// A request that fails is answered with its error, and the stream goes on.
pub(super) fn answers(
    serves: Arc<Serves>,
    call: Received,
    requests: Streaming<ModelInferRequest>,
) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send + 'static {
    let answer = move |request: Result<ModelInferRequest, Status>| {
        let (serves, call) = (Arc::clone(&serves), call.clone());
        async move {
            Ok(match infer(&serves, &call, request?).await {
                Ok(response) => ModelStreamInferResponse { infer_response: Some(response.into_inner()), ..Default::default() },
                Err(error) => ModelStreamInferResponse { error_message: error.message, ..Default::default() },
            })
        }
    };
    requests.map(answer).buffered(AT_ONCE)
}
