//! `Classify`: text in, scored labels out.

use torchmesh_api::{
    error::ApiError,
    text::v1::{Classification, ClassifyRequest, ClassifyResponse, LabelScore},
};

use super::{
    TextCall,
    forward::{Read, floats},
    wire,
};
use crate::{
    manifest::{ScoreFunction, Task},
    text::{Source, scores},
};

pub(super) async fn run(call: TextCall<'_>, request: ClassifyRequest) -> Result<ClassifyResponse, ApiError> {
    let Task::Classify(settings) = &call.serving.manifest.task else { return Err(call.unfit("classify text")) };
    call.count("texts", request.texts.len())?;
    let truncation = call.truncation(request.truncation)?;
    let function = TextCall::function(request.function, settings.function)?;
    let top = usize::try_from(request.top_k).unwrap_or(usize::MAX);
    let tokenised = call.tokenise(request.texts.into_iter().map(Source::Text).collect(), truncation, false).await?;
    let read = call.run(tokenised).await?;
    let task = &call.serving.manifest.task;
    Ok(ClassifyResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        classifications: read.into_iter().map(|read| classification(&read, task, function, top)).collect(),
    })
}

fn classification(read: &Read, task: &Task, function: ScoreFunction, top: usize) -> Classification {
    let scores = mean_scores(read, function);
    let label = |index: usize| LabelScore { label: task.label(index), score: scores[index], index: wire(index) };
    Classification {
        labels: scores::highest(&scores, top).into_iter().map(label).collect(),
        tokens: wire(read.tokenised.tokens()),
        truncated: read.tokenised.truncated,
        windows: wire(read.tokenised.windows.len()),
    }
}

/// The scores of a text; of one that was split, the mean of its windows' scores.
fn mean_scores(read: &Read, function: ScoreFunction) -> Vec<f32> {
    let windows: Vec<Vec<f32>> = read.answers.iter().map(|logits| scores::scores(&floats(logits), function)).collect();
    scores::mean(windows.iter().map(|scores| (scores.as_slice(), 1.0)))
}
