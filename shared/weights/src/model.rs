//! A published model.

use crate::{Special, WeightsError};

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

impl Element {
    /// How many bytes an element takes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// What a tensor is, without its elements.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TensorLayout {
    /// What an element is.
    pub element: Element,
    /// Its dimensions. Their product, in bytes too, is known to fit into memory's address space.
    pub shape: Vec<usize>,
}

impl TensorLayout {
    /// How many bytes its elements take.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element.size()
    }
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

/// A model's files, opened. Tensors are read when they are asked for, by positioned reads: nothing is kept, and threads that read
/// at once do not disturb each other.
pub trait PublishedModel: Send + Sync {
    /// `config.json`, or what it would say: `model_type`, `hidden_size`, `rope_theta` and so on, in Hugging Face's words.
    fn config(&self) -> &str;

    /// The names of all tensors, in the order of the alphabet. A tensor that is tied to another one is not among them.
    fn names(&self) -> Vec<String>;

    /// What a tensor is; `None` where there is none of this name. An error where its elements are of a kind that is not read.
    fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError>;

    /// One tensor; `None` where there is none of this name.
    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError>;

    /// `tokenizer.json`, or what it would say.
    fn tokenizer(&self) -> Result<String, WeightsError>;

    /// What its files say beside the network.
    fn special(&self) -> &Special;
}
