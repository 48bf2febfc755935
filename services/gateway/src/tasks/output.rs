//! What goes out: for each input one output, whose fields are those of the task.

use serde::Serialize;
use torchmesh_api::{audio::v1 as audio, text::v1 as text, vision::v1 as vision};

/// An answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answered {
    /// The model that answered.
    pub(crate) model: String,
    /// Its version.
    pub(crate) version: String,
    /// Its task.
    pub(crate) task: String,
    /// One for each input, in their order.
    pub(crate) outputs: Vec<Output>,
}

/// The answer to one input.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Output {
    /// Of a sentence encoder.
    Embedding {
        /// The vector.
        embedding: Vec<f32>,
        /// How many tokens were read.
        tokens: u32,
        /// Whether the end was cut off.
        truncated: bool,
    },
    /// Of a text classifier.
    Labels {
        /// The highest score first.
        labels: Vec<Label>,
        /// How many tokens were read.
        tokens: u32,
        /// Whether the end was cut off.
        truncated: bool,
    },
    /// Of a token classifier.
    Entities {
        /// In the order of the text.
        entities: Vec<Entity>,
        /// How many tokens were read.
        tokens: u32,
        /// Whether the end was cut off.
        truncated: bool,
    },
    /// Of a masked language model.
    Filled {
        /// The text with every mask filled.
        text: String,
        /// One for each mask.
        masks: Vec<Mask>,
        /// How many tokens were read.
        tokens: u32,
        /// Whether the end was cut off.
        truncated: bool,
    },
    /// Of a reranker.
    Ranking {
        /// The best first.
        results: Vec<Ranked>,
    },
    /// Of an image classifier.
    Classes {
        /// The highest score first.
        labels: Vec<Label>,
        /// The image's size, in pixels.
        width: u32,
        /// The image's size, in pixels.
        height: u32,
    },
    /// Of a detector.
    Detections {
        /// The best first.
        detections: Vec<Detection>,
        /// The image's size, in pixels.
        width: u32,
        /// The image's size, in pixels.
        height: u32,
    },
    /// Of a voice detector.
    Voice {
        /// In the order of time, in seconds.
        segments: Vec<Segment>,
        /// The recording's length in seconds.
        duration: f64,
        /// Its samples a second.
        sample_rate: u32,
    },
}

/// A label and how sure the model is.
#[derive(Debug, Serialize)]
pub(crate) struct Label {
    /// Its name.
    pub(crate) label: String,
    /// From 0 to 1 unless the model says otherwise.
    pub(crate) score: f32,
}

/// A part of a text that has a label; places are in characters.
#[derive(Debug, Serialize)]
pub(crate) struct Entity {
    label: String,
    score: f32,
    start: u32,
    end: u32,
    text: String,
}

/// What may stand in the place of a mask.
#[derive(Debug, Serialize)]
pub(crate) struct Mask {
    start: u32,
    end: u32,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    token: String,
    score: f32,
    text: String,
}

/// A document of the request.
#[derive(Debug, Serialize)]
pub(crate) struct Ranked {
    /// Which one.
    pub(crate) index: u32,
    /// How well it answers.
    pub(crate) score: f32,
    /// The document itself, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<String>,
}

/// A thing in an image.
#[derive(Debug, Serialize)]
pub(crate) struct Detection {
    /// What it is.
    pub(crate) label: String,
    /// How sure the model is.
    pub(crate) score: f32,
    /// Where it is: left, top, right, bottom, in pixels of the image.
    #[serde(rename = "box")]
    pub(crate) place: [f32; 4],
}

/// A stretch of speech.
#[derive(Debug, Serialize)]
pub(crate) struct Segment {
    start: f64,
    end: f64,
}

impl From<text::Embedding> for Output {
    fn from(embedding: text::Embedding) -> Self {
        Self::Embedding { embedding: embedding.values, tokens: embedding.tokens, truncated: embedding.truncated }
    }
}

impl From<text::Classification> for Output {
    fn from(found: text::Classification) -> Self {
        let labels = found.labels.into_iter().map(|label| Label { label: label.label, score: label.score }).collect();
        Self::Labels { labels, tokens: found.tokens, truncated: found.truncated }
    }
}

impl From<text::TokenClassification> for Output {
    fn from(found: text::TokenClassification) -> Self {
        let entity = |entity: text::Entity| Entity {
            label: entity.label,
            score: entity.score,
            start: entity.start_char,
            end: entity.end_char,
            text: entity.text,
        };
        Self::Entities { entities: found.entities.into_iter().map(entity).collect(), tokens: found.tokens, truncated: found.truncated }
    }
}

impl From<text::Filled> for Output {
    fn from(filled: text::Filled) -> Self {
        let candidate = |one: text::FillCandidate| Candidate { token: one.token, score: one.score, text: one.text };
        let mask = |mask: text::MaskFill| Mask {
            start: mask.start_char,
            end: mask.end_char,
            candidates: mask.candidates.into_iter().map(candidate).collect(),
        };
        let masks = filled.masks.into_iter().map(mask).collect();
        Self::Filled { text: filled.text, masks, tokens: filled.tokens, truncated: filled.truncated }
    }
}

impl From<vision::ImageClasses> for Output {
    fn from(found: vision::ImageClasses) -> Self {
        let labels = found.labels.into_iter().map(|label| Label { label: label.label, score: label.score }).collect();
        Self::Classes { labels, width: found.width, height: found.height }
    }
}

impl From<vision::ImageDetections> for Output {
    fn from(found: vision::ImageDetections) -> Self {
        let detection = |one: vision::Detection| {
            let place = one.r#box.unwrap_or_default();
            Detection { label: one.label, score: one.score, place: [place.x_min, place.y_min, place.x_max, place.y_max] }
        };
        let detections = found.detections.into_iter().map(detection).collect();
        Self::Detections { detections, width: found.width, height: found.height }
    }
}

impl From<audio::DetectVoiceResponse> for Output {
    fn from(found: audio::DetectVoiceResponse) -> Self {
        let segments = found.segments.into_iter().map(|one| Segment { start: one.start_s, end: one.end_s }).collect();
        Self::Voice { segments, duration: found.duration_s, sample_rate: found.sample_rate }
    }
}
