//! What runs a model. Everything outside this folder sees the [`Engine`] trait and never libtorch itself.

mod alive;
pub(crate) mod aoti;
mod attribution;
mod cuda;
mod device;
mod dtype;
pub(crate) mod encoder;
mod error;
pub(crate) mod kernels;
mod language;
mod memory;
mod outputs;
mod shim;
mod silero;
mod tensors;
#[cfg(test)]
mod tests;
mod torchscript;

#[cfg(any(test, fuzzing))]
use std::path::Path;
use std::path::PathBuf;

pub use alive::{Alive, let_models_end};
pub use attribution::{Attribution, Readout};
pub use cuda::cuda_available;
pub use device::{Device, UnknownDevice};
pub use dtype::{Dtype, UnknownDtype};
pub use error::EngineError;
#[cfg(any(test, fuzzing))]
pub(crate) use language::is_built;
pub use language::{LanguageSpec, block_of, load_language};
pub use memory::give_memory_back;

use self::{aoti::Compiled, encoder::Encoder, silero::Silero, torchscript::TorchScript};
use crate::tensor::Tensor;

/// One loaded model instance. It lives on one executor thread, which loads it, calls it and drops it: libtorch keeps large
/// thread-locals, so a model that wanders over threads costs memory on each.
pub trait Engine: Send {
    /// Runs one batch and waits for it: milliseconds to seconds, so never on the async runtime.
    ///
    /// Inputs come in the order of the model's manifest and must be consistent (see [`Tensor::is_consistent`]); outputs go out in
    /// the order of [`EngineSpec::outputs`]. A failed call leaves the engine usable.
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError>;

    /// What a part of a way adds to the attribution of each token of one text: `FP32` [1, tokens]. The inputs are as for a forward, of one row
    /// without padding. Only for an engine that [`Engine::differentiates`]; a failed call leaves the engine usable.
    fn attribute(&mut self, _: &[Tensor], _: &Attribution, _: Readout<'_>) -> Result<Tensor, EngineError> {
        Err(EngineError::forward("this engine cannot differentiate"))
    }

    /// Whether [`Engine::attribute`] answers.
    fn differentiates(&self) -> bool {
        false
    }

    /// Whether the elements that fill up shorter rows cost as much as real ones. An engine that packs its rows says no, and then rows of any
    /// lengths share a batch.
    fn padding_costs(&self) -> bool {
        true
    }

    /// Which runtime answers, in the protocol's words, for example `pytorch_torchscript`.
    fn platform(&self) -> &'static str;
}

/// What to load and how.
#[derive(Clone, Debug)]
pub struct EngineSpec {
    /// The model file: the weights of a Hugging Face directory (`.safetensors`, with `config.json` beside it), a package that
    /// AOTInductor compiled (`.pt2`, with its sidecar beside it), silero-vad as it was published (`silero_vad.jit`), or else a `TorchScript`
    /// archive (`.pt`).
    pub artefact: PathBuf,
    /// Where the model runs. Default: [`Device::Auto`].
    pub device: Device,
    /// What the weights are held in. Default: [`Dtype::Auto`]. An engine that cannot says so when it loads.
    pub dtype: Dtype,
    /// Threads that one forward may use. Default 1: throughput comes from more executors, because the threads of one forward
    /// spin while they wait for each other and steal the processor from everything else. 0 is taken as 1.
    pub intra_op_threads: usize,
    /// The names of the outputs, in the order wanted. Needed only when the model returns a dictionary; empty means "as the model
    /// gives them".
    pub outputs: Vec<String>,
    /// Whether the last hidden state is wanted even where `config.json` names a head for the native encoder. Default false.
    pub hidden: bool,
}

impl EngineSpec {
    /// A spec with the defaults.
    pub fn new(artefact: impl Into<PathBuf>) -> Self {
        Self {
            artefact: artefact.into(),
            device: Device::Auto,
            dtype: Dtype::Auto,
            intra_op_threads: 1,
            outputs: Vec::new(),
            hidden: false,
        }
    }
}

/// Loads a model: seconds, so never on the async runtime.
pub fn load(spec: &EngineSpec) -> Result<Box<dyn Engine>, EngineError> {
    if matches!(spec.dtype, Dtype::Int8 | Dtype::Int4) {
        return Err(EngineError::UnsupportedDtype { dtype: spec.dtype });
    }
    if spec.artefact.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(Box::new(Encoder::load(spec)?));
    }
    if spec.artefact.extension().is_some_and(|extension| extension == "pt2") {
        return Ok(Box::new(Compiled::load(spec)?));
    }
    if spec.artefact.file_name().is_some_and(|name| name == silero::ARTEFACT) {
        return Ok(Box::new(Silero::load(spec)?));
    }
    Ok(Box::new(TorchScript::load(spec)?))
}

/// The longest text, the first token's position and the number of labels of the network that a `config.json` describes; `None` where it is refused.
#[cfg(any(test, fuzzing))]
pub(crate) fn sizes_of_network(config: &Path) -> Option<(i64, i64, i64)> {
    let config = encoder::config::EncoderConfig::read(config).ok()?;
    Some((config.longest(), config.first_position(), config.labels()))
}
