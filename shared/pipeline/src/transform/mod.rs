//! Tensors made of tensors, between the steps: each is a plain function, with the types that it takes and gives known beforehand.

mod cast;
mod combine;
mod concat;
mod crop;
mod json;
mod pick;
mod reshape;
mod resize;
mod similarity;
mod slice;
mod template;
mod threshold;
mod top_k;

use std::sync::Arc;

use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use crate::{kind::TensorType, spec::By};

pub use self::{
    cast::Cast, combine::Combine, concat::Concat, crop::Crop, json::Json, pick::Pick, reshape::Reshape, resize::Resize,
    similarity::Similarity, slice::Slice, template::Template, threshold::Threshold, top_k::TopK,
};
pub(crate) use self::{combine::combine, concat::concat};

/// The most that one output of a transform may have that can be much larger than its inputs, in bytes.
const MOST_BYTES: usize = 256 << 20;

/// An input by its name.
pub type Given<T> = (Arc<str>, T);

/// What a transform does, before and with tensors.
pub(crate) trait Rule {
    /// The names of what it gives.
    fn outputs(&self) -> &'static [&'static str] {
        &["out"]
    }

    /// What it gives of inputs of these types, in the order of [`Self::outputs`]; the error says what it cannot take.
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String>;

    /// What it gives of these inputs; the error says what is wrong with them.
    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String>;
}

/// A transform, with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// Another datatype.
    Cast(Cast),
    /// One behind the other.
    Concat(Concat),
    /// A part of an image.
    Crop(Crop),
    /// Fields of JSON texts.
    Json(Json),
    /// The mean of several, or what most of them say.
    Combine(Combine),
    /// Elements of a list, by their places.
    Pick(Pick),
    /// The same elements in another shape.
    Reshape(Reshape),
    /// An image of another size.
    Resize(Resize),
    /// How alike vectors are.
    Similarity(Similarity),
    /// A part of a dimension.
    Slice(Slice),
    /// Texts with others in them.
    Template(Template),
    /// Which elements are large enough.
    Threshold(Threshold),
    /// The largest elements, and where they are.
    TopK(TopK),
}

const NAMES: &str = "cast, concat, crop, json, mean, pick, reshape, resize, similarity, slice, template, threshold, top_k, vote";

impl Transform {
    /// Reads `transform` and its settings from a step's table; `None` means that a mistake was reported.
    pub(crate) fn read(s: &mut Section) -> Option<Self> {
        Some(match s.required::<String>("transform")?.as_str() {
            "cast" => Self::Cast(Cast::read(s)?),
            "concat" => Self::Concat(Concat::read(s)),
            "crop" => Self::Crop(Crop::read(s)?),
            "json" => Self::Json(Json::read(s)?),
            "mean" => Self::Combine(Combine::read(s, By::Mean)),
            "vote" => Self::Combine(Combine::read(s, By::Vote)),
            "pick" => Self::Pick(Pick::read(s)),
            "reshape" => Self::Reshape(Reshape::read(s)?),
            "resize" => Self::Resize(Resize::read(s)?),
            "similarity" => Self::Similarity(Similarity::read(s)),
            "slice" => Self::Slice(Slice::read(s)),
            "template" => Self::Template(Template::read(s)?),
            "threshold" => Self::Threshold(Threshold::read(s)?),
            "top_k" => Self::TopK(TopK::read(s)?),
            other => {
                s.problem("transform", format!("is {other:?}; known are {NAMES}"));
                return None;
            }
        })
    }

    /// Its name in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cast(_) => "cast",
            Self::Concat(_) => "concat",
            Self::Crop(_) => "crop",
            Self::Json(_) => "json",
            Self::Combine(Combine { by: By::Mean, .. }) => "mean",
            Self::Combine(Combine { by: By::Vote, .. }) => "vote",
            Self::Pick(_) => "pick",
            Self::Reshape(_) => "reshape",
            Self::Resize(_) => "resize",
            Self::Similarity(_) => "similarity",
            Self::Slice(_) => "slice",
            Self::Template(_) => "template",
            Self::Threshold(_) => "threshold",
            Self::TopK(_) => "top_k",
        }
    }

    fn rule(&self) -> &dyn Rule {
        match self {
            Self::Cast(rule) => rule,
            Self::Concat(rule) => rule,
            Self::Crop(rule) => rule,
            Self::Json(rule) => rule,
            Self::Combine(rule) => rule,
            Self::Pick(rule) => rule,
            Self::Reshape(rule) => rule,
            Self::Resize(rule) => rule,
            Self::Similarity(rule) => rule,
            Self::Slice(rule) => rule,
            Self::Template(rule) => rule,
            Self::Threshold(rule) => rule,
            Self::TopK(rule) => rule,
        }
    }

    /// The names of what it gives.
    pub fn outputs(&self) -> &'static [&'static str] {
        self.rule().outputs()
    }

    /// What it gives of inputs of these types, in the order of [`Self::outputs`]. The error says what it cannot take.
    pub fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        self.rule().infer(inputs)
    }

    /// What it gives, in the order of [`Self::outputs`]. The error says what is wrong with the inputs.
    pub fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        self.rule().apply(inputs)
    }
}

/// A datatype in a table.
pub(crate) fn datatype(s: &mut Section, key: &str) -> Option<Datatype> {
    let name = s.required::<String>(key)?;
    name.parse().map_err(|error: torchmesh_api::tensor::UnknownDatatype| s.problem(key, error.to_string())).ok()
}

/// The only input of a transform that takes one.
fn only<T>(inputs: &[Given<T>]) -> Result<&T, String> {
    match inputs {
        [(_, only)] => Ok(only),
        _ => Err(format!("takes one input, not {}", inputs.len())),
    }
}

/// The two inputs of a transform that takes as many, in the order of their names.
fn two<T>(inputs: &[Given<T>]) -> Result<(&T, &T), String> {
    match inputs {
        [(_, first), (_, second)] => Ok((first, second)),
        _ => Err(format!("takes two inputs, not {}", inputs.len())),
    }
}

/// Which dimension is meant; from the end where the number is negative.
fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_end = if axis < 0 { i64::try_from(rank).unwrap_or(i64::MAX) + axis } else { axis };
    usize::try_from(from_end).ok().filter(|at| *at < rank).ok_or_else(|| format!("there is no axis {axis} in {rank} dimensions"))
}

/// How many elements the dimensions have together; more than can be counted are as many as can.
fn product(dims: &[i64]) -> usize {
    dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).fold(1, usize::saturating_mul)
}

/// That an output would have more than [`MOST_BYTES`].
fn too_large() -> String {
    format!("would give more than {} MiB; send it less at once", MOST_BYTES >> 20)
}

#[cfg(test)]
mod tests;
