//! The settings of a manifest that are one of a few words.

use toml::Value;
use torchmesh_runtime::config::FromSetting;

use crate::{
    admission::Priority,
    engine::{Device, Dtype},
    image::{BoxForm, Channels, Coordinates, Filter, Layout},
    tensor::Datatype,
};

/// The word of a task, before its settings are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TaskWord {
    Tensor,
    Embed,
    Classify,
    TokenClassify,
    Fill,
    Rerank,
    ClassifyImage,
    DetectObjects,
    DetectVoice,
    Generate,
}

/// How an image is brought to its size, before the numbers that go with it are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FitWord {
    Crop,
    Letterbox,
    Stretch,
}

/// How a detector's outputs are arranged, before the settings that go with it are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FormWord {
    Rows,
    Boxes,
    Queries,
}

/// What becomes of a text that has more tokens than the model reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Truncation {
    /// The end is cut off.
    End,
    /// The request is refused.
    Reject,
    /// The text is read in windows that overlap.
    Split,
}

/// What turns logits into scores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScoreFunction {
    /// One label is right.
    Softmax,
    /// Any number of labels is right.
    Sigmoid,
    /// The logits as they are.
    None,
}

/// How the labels of tokens become entities, as transformers' pipeline has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aggregation {
    /// Every token by itself.
    None,
    /// Neighbouring tokens of one label.
    Simple,
    /// A word has its first token's label.
    First,
    /// A word has the label with the best mean over its tokens.
    Average,
    /// A word has the label of its surest token.
    Max,
}

/// How the vectors of a text's tokens become one vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pooling {
    /// The mean over the tokens, padding left out.
    Mean,
    /// The first token's.
    Cls,
    /// The model returns one vector a text already.
    None,
}

macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal => $value:expr),+) => {
        impl FromSetting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_setting(value: &Value) -> Result<Self, String> {
                match value.as_str() {
                    $(Some($word) => Ok($value),)+
                    _ => Err(wrong::<Self>(value)),
                }
            }
        }
    };
}

words!(
    TaskWord,
    "\"embed\", \"classify\", \"token-classify\", \"fill\", \"rerank\", \"classify-image\", \"detect-objects\", \"detect-voice\", \"generate\" or \"tensor\"",
    "tensor" => Self::Tensor, "embed" => Self::Embed, "classify" => Self::Classify, "token-classify" => Self::TokenClassify,
    "fill" => Self::Fill, "rerank" => Self::Rerank, "classify-image" => Self::ClassifyImage, "detect-objects" => Self::DetectObjects,
    "detect-voice" => Self::DetectVoice, "generate" => Self::Generate
);
words!(FitWord, "\"crop\", \"letterbox\" or \"stretch\"", "crop" => Self::Crop, "letterbox" => Self::Letterbox, "stretch" => Self::Stretch);
words!(FormWord, "\"rows\", \"boxes\" or \"queries\"", "rows" => Self::Rows, "boxes" => Self::Boxes, "queries" => Self::Queries);
words!(
    Filter, "\"box\", \"bilinear\", \"bicubic\" or \"lanczos\"",
    "box" => Self::Box, "bilinear" => Self::Bilinear, "bicubic" => Self::Bicubic, "lanczos" => Self::Lanczos
);
words!(Channels, "\"rgb\" or \"bgr\"", "rgb" => Self::Rgb, "bgr" => Self::Bgr);
words!(Layout, "\"nchw\" or \"nhwc\"", "nchw" => Self::Nchw, "nhwc" => Self::Nhwc);
words!(BoxForm, "\"cxcywh\", \"xywh\" or \"xyxy\"", "cxcywh" => Self::Cxcywh, "xywh" => Self::Xywh, "xyxy" => Self::Xyxy);
words!(Coordinates, "\"pixels\" or \"fraction\"", "pixels" => Self::Pixels, "fraction" => Self::Fraction);
words!(Truncation, "\"end\", \"reject\" or \"split\"", "end" => Self::End, "reject" => Self::Reject, "split" => Self::Split);
words!(
    ScoreFunction, "\"softmax\", \"sigmoid\" or \"none\"",
    "softmax" => Self::Softmax, "sigmoid" => Self::Sigmoid, "none" => Self::None
);
words!(
    Aggregation, "\"none\", \"simple\", \"first\", \"average\" or \"max\"",
    "none" => Self::None, "simple" => Self::Simple, "first" => Self::First, "average" => Self::Average, "max" => Self::Max
);
words!(Pooling, "\"mean\", \"cls\" or \"none\"", "mean" => Self::Mean, "cls" => Self::Cls, "none" => Self::None);

/// The runtime that loads the artefact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EngineChoice {
    /// Whichever reads what is in the version's folder; where a compiled package fits, the faster of the two.
    Auto,
    /// A `TorchScript` archive.
    TorchScript,
    /// The weights of a Hugging Face directory, run by the worker's own encoder.
    Native,
    /// A package that AOTInductor compiled, `model.pt2`.
    Aoti,
}

words!(
    EngineChoice, "\"auto\", \"torchscript\", \"native\" or \"aoti\"",
    "auto" => Self::Auto, "torchscript" => Self::TorchScript, "native" => Self::Native, "aoti" => Self::Aoti
);

/// What becomes of an answer that holds NaN or infinity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NonFinite {
    /// It is sent.
    Pass,
    /// Its request fails; those that shared its batch do not.
    Reject,
}

words!(NonFinite, "\"pass\" or \"reject\"", "pass" => Self::Pass, "reject" => Self::Reject);

/// A priority as a manifest has it.
pub(super) struct Class(pub(super) Priority);

impl FromSetting for Class {
    const EXPECTED: &'static str = "\"high\", \"normal\" or \"low\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_str().and_then(|text| Priority::parse(text.as_bytes())).map(Self).ok_or_else(|| wrong::<Self>(value))
    }
}

impl FromSetting for Device {
    const EXPECTED: &'static str = "\"auto\", \"cpu\" or \"cuda:N\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong::<Self>(value))
    }
}

impl FromSetting for Dtype {
    const EXPECTED: &'static str = "\"auto\", \"fp32\", \"bf16\", \"fp16\", \"int8\" or \"int4\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong::<Self>(value))
    }
}

/// A datatype as a manifest has it.
pub(super) struct Written(pub(super) Datatype);

impl FromSetting for Written {
    const EXPECTED: &'static str = "one of BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64, BYTES";
    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_str().and_then(|text| text.parse().ok()).map(Self).ok_or_else(|| wrong::<Self>(value))
    }
}

fn wrong<T: FromSetting>(value: &Value) -> String {
    let shown: String = value.to_string().chars().take(60).collect();
    format!("must be {}, not {shown}", T::EXPECTED)
}
