//! Between the Open Inference Protocol's messages and the tensors that the worker runs.

mod decode;
mod encode;
mod wishes;

pub use decode::{Decoded, decode};
pub use encode::encode;
pub use wishes::wishes;
