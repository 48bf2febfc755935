//! `Rerank`: a query and documents in, the documents' order out.

use std::sync::Arc;

use torchmesh_api::{
    error::ApiError,
    text::v1::{Ranked, RerankRequest, RerankResponse},
};

use super::{
    TextCall,
    forward::{Read, floats},
    invalid, wire,
};
use crate::{
    manifest::{ScoreFunction, Task},
    text::{Source, scores},
};

pub(super) async fn run(call: TextCall<'_>, request: RerankRequest) -> Result<RerankResponse, ApiError> {
    let Task::Rerank(settings) = &call.serving.manifest.task else { return Err(call.unfit("rerank documents")) };
    call.count("documents", request.documents.len())?;
    if request.query.is_empty() {
        return Err(invalid("query is empty; send what the documents are to answer"));
    }
    let truncation = call.truncation(request.truncation)?;
    let function = match TextCall::function(request.function, settings.function)? {
        ScoreFunction::Softmax => {
            return Err(invalid("function is 1 (softmax), which makes 1 of a single score; send 2 (sigmoid) or 3 (none)"));
        }
        function => function,
    };
    let query: Arc<str> = request.query.into();
    let pair = |document: &String| Source::Pair(Arc::clone(&query), document.clone());
    let tokenised = call.tokenise(request.documents.iter().map(pair).collect(), truncation, false).await?;
    let read = call.run(tokenised).await?;
    let scores: Vec<f32> = read.iter().map(|read| score(read, function)).collect();
    let top = usize::try_from(request.top_n).unwrap_or(usize::MAX);
    let ranked = |index: usize| Ranked {
        index: wire(index),
        score: scores[index],
        document: if request.return_documents { request.documents[index].clone() } else { String::new() },
        tokens: wire(read[index].tokenised.tokens()),
        truncated: read[index].tokenised.truncated,
        windows: wire(read[index].tokenised.windows.len()),
    };
    Ok(RerankResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        results: scores::highest(&scores, top).into_iter().map(ranked).collect(),
    })
}

/// The score of a document: that of its best window.
fn score(read: &Read, function: ScoreFunction) -> f32 {
    let windows = read.answers.iter().flat_map(|logits| scores::scores(&floats(logits), function));
    windows.reduce(|best, score| if score > best || best.is_nan() { score } else { best }).unwrap_or(f32::NAN)
}
