//! What a model is for, and the settings that go with it.

use super::{Aggregation, GenerateSettings, Pooling, ScoreFunction, Truncation};
use crate::{
    audio::VoiceSettings,
    image::{DetectorSettings, ImageSettings},
};

/// `task`: what the model is for. Every task answers `ModelInfer` too: tensors in, tensors out.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// `tensor`: nothing but tensors.
    Tensor,
    /// `embed`: text to a vector.
    Embed(EmbedSettings),
    /// `classify`: text to scored labels.
    Classify(ClassifySettings),
    /// `token-classify`: text to entities.
    TokenClassify(TokenClassifySettings),
    /// `fill`: a text with masks to what may stand there.
    Fill(TextSettings),
    /// `rerank`: a query and documents to scores.
    Rerank(RerankSettings),
    /// `classify-image`: an image to scored labels.
    ClassifyImage(ClassifyImageSettings),
    /// `detect-objects`: an image to boxes.
    DetectObjects(DetectObjectsSettings),
    /// `detect-voice`: sound to segments of speech.
    DetectVoice(VoiceSettings),
    /// `generate`: text that goes on from text, and the next message of a conversation.
    Generate(Box<GenerateSettings>),
}

/// How a model reads text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSettings {
    /// `tokenizer`: a Hugging Face `tokenizer.json`, in the version's folder or else the model's. Default `tokenizer.json`.
    pub tokenizer: String,
    /// `max_tokens`: the longest sequence the model reads, special tokens included. Default 512, 8 to 131072.
    pub max_tokens: usize,
    /// `truncation`: what becomes of a longer text when the caller does not say. Default `end`.
    pub truncation: Truncation,
    /// `overlap`: tokens that neighbouring windows share where a text is split. Default an eighth of `max_tokens`, at most half.
    pub overlap: usize,
}

/// How token vectors become one vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolSettings {
    /// `pooling`: how token vectors become one. Default `mean`.
    pub pooling: Pooling,
    /// `normalize`: whether vectors are scaled to length 1. Default true.
    pub normalize: bool,
}

/// An embedding model.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedSettings {
    /// How it reads.
    pub text: TextSettings,
    /// What is made of its token vectors.
    pub pool: PoolSettings,
}

/// A text classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifySettings {
    /// How it reads.
    pub text: TextSettings,
    /// `labels`: the names of the outputs, in their order. Default: those of `config.json` or of the head; else `LABEL_0` and so on.
    pub labels: Vec<String>,
    /// `scores`: what turns logits into scores. Default: as `config.json` says, else `softmax`.
    pub function: ScoreFunction,
    /// `head`: a linear layer beside a sentence encoder, which gives the logits of the pooled vector. Absent: the model gives the logits itself.
    pub head: Option<HeadSettings>,
}

/// A linear layer on top of a sentence encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadSettings {
    /// `head`: a safetensors file in the version's folder with `weight` [labels, dim] and `bias` [labels].
    pub file: String,
    /// What it stands on.
    pub pool: PoolSettings,
}

/// A token classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenClassifySettings {
    /// How it reads.
    pub text: TextSettings,
    /// `labels`, as for a text classifier.
    pub labels: Vec<String>,
    /// `aggregation`: how tokens become entities when the caller does not say. Default `simple`.
    pub aggregation: Aggregation,
}

/// A reranker: a cross-encoder with one output.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankSettings {
    /// How it reads.
    pub text: TextSettings,
    /// `scores`: what turns the logit into a score. Default `sigmoid`.
    pub function: ScoreFunction,
}

/// An image classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifyImageSettings {
    /// How it sees.
    pub image: ImageSettings,
    /// `labels`: the names of the outputs, in their order. Default: those of `labels.json`, `labels.txt` or `config.json`; else `LABEL_0` and so on.
    pub labels: Vec<String>,
    /// `scores`: what turns logits into scores. Default `softmax`.
    pub function: ScoreFunction,
    /// `top_k`: how many labels a caller gets who does not say. Default 5, 1 to 1000.
    pub top_k: usize,
}

/// A detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectObjectsSettings {
    /// How it sees.
    pub image: ImageSettings,
    /// `labels`, as for an image classifier.
    pub labels: Vec<String>,
    /// How its numbers are read.
    pub detector: DetectorSettings,
}

impl Task {
    /// The word in the manifest.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Tensor => "tensor",
            Self::Embed(_) => "embed",
            Self::Classify(_) => "classify",
            Self::TokenClassify(_) => "token-classify",
            Self::Fill(_) => "fill",
            Self::Rerank(_) => "rerank",
            Self::ClassifyImage(_) => "classify-image",
            Self::DetectObjects(_) => "detect-objects",
            Self::DetectVoice(_) => "detect-voice",
            Self::Generate(_) => "generate",
        }
    }

    /// How the model reads text; `None` for a model of something else.
    pub fn text(&self) -> Option<&TextSettings> {
        match self {
            Self::Tensor | Self::ClassifyImage(_) | Self::DetectObjects(_) | Self::DetectVoice(_) | Self::Generate(_) => None,
            Self::Embed(EmbedSettings { text, .. })
            | Self::Classify(ClassifySettings { text, .. })
            | Self::TokenClassify(TokenClassifySettings { text, .. })
            | Self::Fill(text)
            | Self::Rerank(RerankSettings { text, .. }) => Some(text),
        }
    }

    /// The names of the scores, in their order; empty for a task without any, and where nothing names them.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Classify(ClassifySettings { labels, .. })
            | Self::TokenClassify(TokenClassifySettings { labels, .. })
            | Self::ClassifyImage(ClassifyImageSettings { labels, .. })
            | Self::DetectObjects(DetectObjectsSettings { labels, .. }) => labels,
            _ => &[],
        }
    }

    /// The name of the score at `index`.
    pub fn label(&self, index: usize) -> String {
        self.labels().get(index).map_or_else(|| format!("LABEL_{index}"), Clone::clone)
    }

    /// Whether the answer has a value for each token of a text, and not only one for the text.
    pub fn is_by_token(&self) -> bool {
        matches!(self, Self::TokenClassify(_) | Self::Fill(_))
    }
}
