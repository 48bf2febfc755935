//! Language models: decoders that are run from their files as they are published, step by step for many sequences at once.
//!
//! [`architectures`] says what each kind computes, as a [`plan::Plan`]; [`cpu`] computes it with our own kernels.

mod architectures;
mod config;
mod cpu;
mod plan;
mod read;
mod rotary;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use torchmesh_generation::Decoder;
use torchmesh_weights::{PublishedModel, WeightsError};

use self::{config::Config, cpu::CpuDecoder};
use super::{Device, Dtype, EngineError};

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
}

/// What to load and how.
#[derive(Clone, Debug)]
pub struct LanguageSpec {
    /// The folder of a Hugging Face model, or a GGUF file.
    pub artefact: PathBuf,
    /// Where it runs. Default: [`Device::Auto`].
    pub device: Device,
    /// What the weights are held in. Default [`Dtype::Auto`]: as they are published, if the processor multiplies that.
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
    // `auto` is the CPU, GPU or not.
    if let Device::Cuda(_) = spec.device {
        return Err(EngineError::load("config.json", "language models run on the CPU only so far; set device = \"cpu\"".to_owned()));
    }
    if spec.dtype == Dtype::Fp16 {
        return Err(EngineError::UnsupportedDtype { dtype: spec.dtype });
    }
    let folder = spec.artefact.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    let named = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
    read(spec).map_err(|error| EngineError::load(named, error.to_string().replace(&folder, "")))
}

fn read(spec: &LanguageSpec) -> Result<Box<dyn Decoder>, LanguageError> {
    let model = torchmesh_weights::open(&spec.artefact)?;
    Ok(Box::new(build(model.as_ref(), spec)?))
}

fn build(model: &dyn PublishedModel, spec: &LanguageSpec) -> Result<CpuDecoder, LanguageError> {
    let config = Config::read(model.config())?;
    let plan = architectures::plan(&config)?;
    CpuDecoder::new(model, plan, spec)
}
