//! Language models as they are published, in one form: what describes the network, its tensors, its tokenizer and its chat template.
//!
//! What was published is read as it is: a Hugging Face directory (`config.json`, `model.safetensors`, sharded ones too, `tokenizer.json`), one GGUF file,
//! or a checkpoint of llama2.c. Tensors have the names and the layout that Hugging Face's implementations give them, whatever file they come from.
//! [`write_directory`] makes a Hugging Face directory of any of them.

mod checkpoint;
mod directory;
mod error;
mod file;
pub mod formula;
mod gguf;
mod model;
mod open;
mod rows;
mod special;
mod vocabulary;
mod write;

pub use error::WeightsError;
pub use model::{Element, PublishedModel, TensorData, TensorLayout};
pub use open::open;
pub use special::{PublishedSampling, Special};
pub use write::write_directory;
