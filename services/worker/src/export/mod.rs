//! Writing models in the form that the engine reads, without Python.

mod archive;
mod bert;
mod command;
mod efficientnet;
mod fixtures;
#[cfg(test)]
mod tests;
mod trace;

use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(crate) use archive::{save_source, save_with_weight};
pub use command::{ExportArgs, ExportFixtureArgs, ExportLanguageArgs, ExportNetworkArgs, ExportNoopArgs};
pub use fixtures::Fixture;

use self::bert::Bert;
use self::efficientnet::EfficientNet;
use self::trace::save_trace;
use crate::engine::encoder::{
    NetworkError,
    config::{EncoderConfig, Family},
    weights::Weights,
};

/// Why a model could not be exported. The messages are for the person at the command line, so they name files in full.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the model's directory could not be read, or the result could not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The model's directory does not hold an encoder.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The encoder is one that can be served as it is, and only so.
    #[error("model_type is another than \"bert\": it is served from its directory, without an export")]
    NotBert,
    /// libtorch failed.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// Turns a Hugging Face directory of a BERT encoder (`config.json` and `model.safetensors`) into `TorchScript` at `out`.
///
/// The module takes `input_ids` and `attention_mask`, both `INT64` of any [batch, sequence] up to the model's longest sequence, and
/// returns the last hidden state, `FP32` [batch, sequence, hidden]. Pooling is left to the worker.
pub fn encoder(model: &Path, out: &Path) -> Result<(), ExportError> {
    let config = EncoderConfig::read(&model.join("config.json"))?;
    if config.family() != Ok(Family::Bert) {
        return Err(ExportError::NotBert);
    }
    let weights = Weights::read(&model.join("model.safetensors"), tch::Device::Cpu)?;
    let bert = Bert::new(&config, &weights)?;
    // Sizes above 1, and different: a dimension of 1 could be mistaken for one that broadcasts.
    let example = [(); 2].map(|()| tch::Tensor::ones([2, 3], (tch::Kind::Int64, tch::Device::Cpu)));
    save_trace("encoder", &example, out, |inputs| Ok(vec![bert.forward(&inputs[0], &inputs[1])?]))
}

/// Turns the weights of EfficientNet-lite0 (a safetensors file of its state dict) into `TorchScript` at `out`.
///
/// The module takes images, `FP32` [batch, 3, height, width] with sides that are multiples of 32, and returns the logits of ImageNet's 1000 classes.
pub fn efficientnet(weights: &Path, out: &Path) -> Result<(), ExportError> {
    let network = EfficientNet::new(&Weights::read(weights, tch::Device::Cpu)?)?;
    let example = [tch::Tensor::zeros([2, 3, 224, 224], (tch::Kind::Float, tch::Device::Cpu))];
    save_trace("efficientnet_lite0", &example, out, |inputs| Ok(vec![network.forward(&inputs[0])?]))
}

/// Writes a small model for tests and measurements to `out`.
pub fn fixture(which: Fixture, out: &Path) -> Result<(), ExportError> {
    which.save(out)
}
