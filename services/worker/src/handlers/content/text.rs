//! Texts in; vectors, or labels and scores out.

use torchmesh_api::{
    error::ApiError,
    text::v1::{Classification, ClassifyRequest, EmbedRequest},
};

use super::{Content, dimension, invalid, labelled};
use crate::{
    handlers::text::{classify_texts, embed_texts},
    manifest::Task,
    tensor::Tensor,
};

/// What the model reads in them.
pub(super) async fn read(content: Content<'_>, task: &Task, top_k: u32) -> Result<Vec<Tensor>, ApiError> {
    let Content { front, model, info, spending, elements } = content;
    let text = |(at, element): (usize, &bytes::Bytes)| {
        std::str::from_utf8(element).map(str::to_owned).map_err(|_| invalid(format!("input \"text\": element {at} is not UTF-8")))
    };
    let texts = elements.iter().enumerate().map(text).collect::<Result<_, _>>()?;
    if let Task::Embed(_) = task {
        let answer = embed_texts(front, model, info, spending, EmbedRequest { texts, ..Default::default() }).await?;
        let width = answer.embeddings.first().map_or(0, |embedding| embedding.values.len());
        let shape = [answer.embeddings.len(), width].map(dimension);
        let values: Vec<f32> = answer.embeddings.into_iter().flat_map(|embedding| embedding.values).collect();
        return Ok(vec![Tensor::from_f32s(shape, &values)]);
    }
    let answer = classify_texts(front, model, info, spending, ClassifyRequest { texts, top_k, ..Default::default() }).await?;
    let row = |one: Classification| one.labels.into_iter().map(|label| (label.label, label.score)).collect();
    Ok(labelled(answer.classifications.into_iter().map(row).collect()))
}
