//! Between the Open Inference Protocol's messages and the tensors that the worker runs.

mod contents;
mod decode;
mod encode;

pub use decode::{Decoded, decode};
pub use encode::encode;
