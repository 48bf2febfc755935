//! The tasks of vision and audio models: a file in.

use std::future::Future;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use torchmesh_api::{
    audio::v1::{DetectVoiceRequest, DetectVoiceResponse, VoiceOptions},
    error::ApiError,
    vision::v1::{ClassifyRequest, ClassifyResponse, DetectRequest, DetectResponse},
};

use super::{
    input::{Content, Input, options},
    invalid,
    output::{Answered, Output},
};
use crate::{
    aside,
    caller::Caller,
    catalogue::Described,
    mesh::{Mesh, Spent},
};

/// The options of the tasks; each has those that say something to it, and refuses the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Classify {
    top_k: u32,
    min_score: Option<f32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Detect {
    score_threshold: Option<f32>,
    iou_threshold: Option<f32>,
    max_detections: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Voice {
    threshold: Option<f64>,
    neg_threshold: Option<f64>,
    min_speech_ms: Option<u32>,
    min_silence_ms: Option<u32>,
    speech_pad_ms: Option<u32>,
    max_speech_s: Option<f64>,
}

/// The version that answered, what it answered, and where its time went.
type Told = (String, Vec<Output>, Spent);

/// Labels of images.
pub(super) async fn classify(mesh: &Mesh, caller: &Caller, described: &Described, input: Input) -> Result<(Answered, Spent), ApiError> {
    let Classify { top_k, min_score } = options(input.options)?;
    let images = files(input.content).await?;
    let (model, model_version) = (described.model.clone(), described.version.clone());
    let request = ClassifyRequest { model, model_version, images, top_k, min_score, ..Default::default() };
    let asking = mesh.timed(caller, "/torchmesh.vision.v1.VisionService/Classify", &request);
    let told = async {
        let (told, spent): (ClassifyResponse, _) = asking.await?;
        Ok((told.model_version, told.images.into_iter().map(Output::from).collect(), spent))
    };
    answered(described, told).await
}

/// Boxes in images.
pub(super) async fn detect(mesh: &Mesh, caller: &Caller, described: &Described, input: Input) -> Result<(Answered, Spent), ApiError> {
    let Detect { score_threshold, iou_threshold, max_detections } = options(input.options)?;
    let images = files(input.content).await?;
    let (model, model_version) = (described.model.clone(), described.version.clone());
    let request = DetectRequest { model, model_version, images, score_threshold, iou_threshold, max_detections, ..Default::default() };
    let asking = mesh.timed(caller, "/torchmesh.vision.v1.VisionService/Detect", &request);
    let told = async {
        let (told, spent): (DetectResponse, _) = asking.await?;
        Ok((told.model_version, told.images.into_iter().map(Output::from).collect(), spent))
    };
    answered(described, told).await
}

/// Speech in a recording.
pub(super) async fn voice(mesh: &Mesh, caller: &Caller, described: &Described, input: Input) -> Result<(Answered, Spent), ApiError> {
    let Voice { threshold, neg_threshold, min_speech_ms, min_silence_ms, speech_pad_ms, max_speech_s } = options(input.options)?;
    let options = Some(VoiceOptions { threshold, neg_threshold, min_speech_ms, min_silence_ms, speech_pad_ms, max_speech_s });
    let mut files = files(input.content).await?;
    let (Some(audio), true) = (files.pop(), files.is_empty()) else {
        return Err(invalid("inputs: this model takes one recording at a time; send one"));
    };
    let (model, model_version) = (described.model.clone(), described.version.clone());
    let request = DetectVoiceRequest { model, model_version, audio, options, ..Default::default() };
    let asking = mesh.timed(caller, "/torchmesh.audio.v1.AudioService/DetectVoice", &request);
    let told = async {
        let (told, spent): (DetectVoiceResponse, _) = asking.await?;
        Ok((told.model_version.clone(), vec![Output::from(told)], spent))
    };
    answered(described, told).await
}

async fn answered(described: &Described, told: impl Future<Output = Result<Told, ApiError>>) -> Result<(Answered, Spent), ApiError> {
    let (version, outputs, spent) = told.await?;
    Ok((Answered { model: described.model.clone(), version, task: described.task.clone(), outputs }, spent))
}

/// Files as they came, or out of base64.
async fn files(content: Content) -> Result<Vec<Bytes>, ApiError> {
    let texts = match content {
        Content::Raw(file) => return Ok(vec![file]),
        Content::One(text) => vec![text],
        Content::Many(texts) => texts,
        Content::Query { .. } => {
            return Err(invalid("inputs has a query and documents, and this model takes a file in base64, or a list of them; send those"));
        }
    };
    let size = texts.iter().map(String::len).sum();
    aside::run(size, move || texts.iter().enumerate().map(|(at, text)| decoded(at, text)).collect()).await?
}

pub(super) fn decoded(at: usize, text: &str) -> Result<Bytes, ApiError> {
    // What a browser gives: `data:image/png;base64,…`.
    let text = if text.starts_with("data:") { text.split_once(',').map_or("", |(_, data)| data) } else { text };
    let wrong = |_| invalid(format!("inputs[{at}] is no base64 (RFC 4648, section 4); send the file in base64, or as the body itself"));
    STANDARD.decode(text).map(Bytes::from).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_come_as_they_are_in_base64_or_as_a_browser_has_them() {
        assert_eq!(files(Content::Raw(Bytes::from_static(b"abc"))).await.unwrap(), ["abc"]);
        let texts = ["YWJj", "data:image/png;base64,YWJj"].map(str::to_owned).to_vec();
        assert_eq!(files(Content::Many(texts)).await.unwrap(), ["abc", "abc"]);
        let refused = files(Content::Many(vec!["YWJj".to_owned(), "a cat".to_owned()])).await.unwrap_err();
        assert!(refused.message.starts_with("inputs[1] is no base64"), "{refused}");
    }
}
