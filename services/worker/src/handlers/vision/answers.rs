//! From what a model answered for an image to what its caller reads.

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    vision::v1::{Box as WireBox, ClassifyRequest, DetectRequest, Detection, Label},
};

use super::{invalid, look::Seen};
use crate::{
    image::{DetectorOutput, Found, Rule, find},
    manifest::{DetectObjectsSettings, ScoreFunction, Task},
    tensor::Tensor,
    text::scores::{highest, scores},
};

/// Which labels a caller wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    most: usize,
    least: Option<f32>,
}

impl Wanted {
    pub(super) fn of(request: &ClassifyRequest, top_k: usize) -> Result<Self, ApiError> {
        let most = if request.top_k == 0 { top_k } else { request.top_k as usize };
        Ok(Self { most, least: request.min_score.map(|score| share("min_score", score)).transpose()? })
    }
}

/// The rule of the model, with what the caller wants otherwise.
pub(super) fn rule(request: &DetectRequest, own: Rule) -> Result<Rule, ApiError> {
    let or = |field: &str, asked: Option<f32>, own: f32| asked.map_or(Ok(own), |asked| share(field, asked));
    Ok(Rule {
        least_score: or("score_threshold", request.score_threshold, own.least_score)?,
        most_overlap: or("iou_threshold", request.iou_threshold, own.most_overlap)?,
        most: if request.max_detections == 0 { own.most } else { request.max_detections as usize },
    })
}

fn share(field: &str, value: f32) -> Result<f32, ApiError> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(invalid(format!("{field} is {value}; send a number from 0 to 1"))) }
}

/// The best labels of an image, best first.
pub(super) fn labels(outputs: &[Tensor], task: &Task, function: ScoreFunction, wanted: Wanted) -> Result<Vec<Label>, ApiError> {
    let logits = outputs.first().and_then(Tensor::to_f32s).unwrap_or_default();
    let scores = scores(&logits, function);
    if scores.iter().any(|score| score.is_nan()) {
        return Err(broken("its scores are not numbers"));
    }
    let best = highest(&scores, wanted.most).into_iter();
    let good = best.filter(|&index| wanted.least.is_none_or(|least| scores[index] >= least));
    Ok(good.map(|index| Label { index: wire(index), label: task.label(index), score: scores[index] }).collect())
}

/// What was found in an image, best first.
pub(super) fn detections(seen: &Seen, task: &Task, settings: &DetectObjectsSettings, rule: Rule) -> Result<Vec<Detection>, ApiError> {
    let input = (settings.image.width, settings.image.height);
    let found = find(DetectorOutput { outputs: &seen.outputs, input, placed: seen.placed }, &settings.detector, rule);
    let found = found.map_err(|reason| broken(&reason))?;
    Ok(found.into_iter().map(|found| detection(found, task)).collect())
}

fn detection(found: Found, task: &Task) -> Detection {
    let Found { rectangle, class, score } = found;
    let place = WireBox { x_min: rectangle.x_min, y_min: rectangle.y_min, x_max: rectangle.x_max, y_max: rectangle.y_max };
    Detection { r#box: Some(place), index: wire(class), label: task.label(class), score }
}

/// The model's fault, not the caller's.
fn broken(reason: &str) -> ApiError {
    ApiError::new(ErrorKind::Internal, format!("the model's answer cannot be read: {reason}"))
}

fn wire(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
