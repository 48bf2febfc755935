//! Language models: decoders that are run from their files as they are published, step by step for many sequences at once.
//!
//! [`architectures`] says what each kind computes, as a [`plan::Plan`]; [`cpu`] computes it with our own kernels, [`torch`] with libtorch's, on a GPU.

mod architectures;
mod config;
mod cpu;
mod fit;
mod plan;
mod read;
mod rotary;
#[cfg(test)]
mod tests;
mod torch;

use std::path::PathBuf;

use torchmesh_generation::Decoder;
use torchmesh_weights::{PublishedModel, WeightsError};

use self::{config::Config, cpu::CpuDecoder, plan::Plan, torch::TorchDecoder};
use super::{Device, Dtype, EngineError, cuda, kernels, tensors};

/// Why a language model could not be loaded. File names are in full: whoever shows this to a caller cuts them.
#[derive(Debug, thiserror::Error)]
pub(super) enum LanguageError {
    /// `config.json` describes a network that is not built here.
    #[error("config.json: {0}")]
    Config(String),
    /// The weights lack a tensor, or have it in another shape.
    #[error("the weights do not fit config.json: {0}")]
    Weights(String),
    /// The files could not be read.
    #[error(transparent)]
    Files(#[from] WeightsError),
    /// The device has no room for the weights and the cache, or failed.
    #[error("the device did not take the model; if it is out of memory, lower cache in model.toml or set dtype there to \"bf16\": {0}")]
    Device(String),
}

impl From<tch::TchError> for LanguageError {
    fn from(error: tch::TchError) -> Self {
        Self::Device(tensors::text(error))
    }
}

/// What to load and how.
#[derive(Clone, Debug)]
pub struct LanguageSpec {
    /// The folder of a Hugging Face model, or a GGUF file.
    pub artefact: PathBuf,
    /// Where it runs. Default: [`Device::Auto`].
    pub device: Device,
    /// What the weights are held in, and on a GPU the cache. Default [`Dtype::Auto`]: as they are published, if the processor multiplies that. Of what is
    /// quantised, that is single precision on a GPU, which has better use for its memory: name `bf16` there.
    pub dtype: Dtype,
    /// Threads of one step.
    pub threads: usize,
    /// Bytes of the cache of keys and values. At least one block is made.
    pub cache_bytes: usize,
    /// Tokens of the longest sequence; the model's own limit holds too.
    pub max_tokens: usize,
}

/// Loads a language model: seconds, so never on the async runtime.
pub fn load_language(spec: &LanguageSpec) -> Result<Box<dyn Decoder>, EngineError> {
    let device = cuda::resolve(spec.device)?;
    // Of the kinds that take fewer digits, each has kernels on one of the two only.
    let missing: &[Dtype] = if device == tch::Device::Cpu { &[Dtype::Fp16] } else { &[Dtype::Int8, Dtype::Int4] };
    if missing.contains(&spec.dtype) {
        return Err(EngineError::UnsupportedDtype { dtype: spec.dtype });
    }
    let folder = spec.artefact.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    let named = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read(spec, device).map_err(|error| EngineError::load(named, error.to_string().replace(&folder, "")))
}

/// Tokens and bytes of a block of the cache that a model would have, which does not load it.
pub fn block_of(spec: &LanguageSpec) -> Result<(usize, usize), EngineError> {
    let device = cuda::resolve(spec.device)?;
    let sized = || {
        let model = torchmesh_weights::open(&spec.artefact)?;
        let plan = plan(model.as_ref())?;
        match device {
            tch::Device::Cpu => Ok(CpuDecoder::block_bytes(&plan)),
            _ => TorchDecoder::block_bytes(model.as_ref(), &plan, spec.dtype),
        }
    };
    let named = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = sized().map_err(|error: LanguageError| EngineError::load(named, error.to_string()))?;
    Ok((kernels::TOKENS_OF_BLOCK, bytes))
}

fn read(spec: &LanguageSpec, device: tch::Device) -> Result<Box<dyn Decoder>, LanguageError> {
    let model = torchmesh_weights::open(&spec.artefact)?;
    let plan = plan(model.as_ref())?;
    match device {
        tch::Device::Cpu => Ok(Box::new(CpuDecoder::new(model.as_ref(), plan, spec)?)),
        _ => Ok(Box::new(TorchDecoder::new(model.as_ref(), plan, spec, device)?)),
    }
}

/// Whether a model's description is one of a network that is built here.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_built(model: &dyn PublishedModel) -> bool {
    plan(model).is_ok()
}

fn plan(model: &dyn PublishedModel) -> Result<Plan, LanguageError> {
    architectures::plan(&Config::read(model.config())?)
}
