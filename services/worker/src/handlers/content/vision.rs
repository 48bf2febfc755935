//! Image files in; labels and scores out.

use torchmesh_api::{
    error::ApiError,
    vision::v1::{ClassifyRequest, ImageClasses},
};

use super::{Content, labelled};
use crate::{handlers::vision::classify_images, tensor::Tensor};

/// What the model sees in them.
pub(super) async fn classify(content: Content<'_>, top_k: u32) -> Result<Vec<Tensor>, ApiError> {
    let Content { front, model, info, spending, elements: images } = content;
    let answer = classify_images(front, model, info, spending, ClassifyRequest { images, top_k, ..Default::default() }).await?;
    let row = |one: ImageClasses| one.labels.into_iter().map(|label| (label.label, label.score)).collect();
    Ok(labelled(answer.images.into_iter().map(row).collect()))
}
