//! A published model.

use crate::WeightsError;

/// What an element of a tensor is, as it comes out of a file. What is quantised comes out as `F32`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

/// One tensor, in row-major order, little-endian.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorData {
    /// What an element is.
    pub element: Element,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements.
    pub bytes: Vec<u8>,
}

/// A model's files, opened. Tensors are read when they are asked for.
pub trait PublishedModel: Send {
    /// `config.json`, or what it would say: `model_type`, `hidden_size`, `rope_theta` and so on, in Hugging Face's words.
    fn config(&self) -> &str;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// One tensor; `None` where there is none of this name.
    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError>;

    /// `tokenizer.json`, or what it would say.
    fn tokenizer(&self) -> Result<String, WeightsError>;

    /// The chat template (Jinja), where the model has one.
    fn chat_template(&self) -> Option<&str>;

    /// The tokens that end an answer.
    fn end_tokens(&self) -> &[u32];

    /// The token that every prompt begins with, where the tokenizer's own post-processor does not add one.
    fn begin_token(&self) -> Option<u32>;
}
