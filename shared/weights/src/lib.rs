//! Language models as they are published, in one form: what describes the network, its tensors, its tokenizer and its chat template.
//!
//! What was published is read as it is: a Hugging Face directory (`config.json`, `model.safetensors`, sharded ones too, `tokenizer.json`), or one GGUF
//! file. Tensors have the names and the layout that Hugging Face's implementations give them, whatever file they come from.

mod error;
pub mod formula;
mod model;

pub use error::WeightsError;
pub use model::{Element, PublishedModel, TensorData};
