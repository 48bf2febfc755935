//! Between the Open Inference Protocol's messages and the tensors that the worker runs.

mod decode;
mod encode;
mod wishes;

pub use decode::{Decoded, decode, decode_content};
pub use encode::{encode, encode_tensors};
pub use wishes::wishes;
