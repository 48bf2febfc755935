//! The architectures: each a file, which says how a `config.json` of its kind reads and what its weights are called.
//!
//! A new one is a file like these and a line in [`plan`]. What no other one has goes into [`Plan`] first.

mod gemma;
mod gpt2;
mod granite;
mod llama;
mod phi3;
mod qwen;

use super::{LanguageError, config::Config, plan::Plan};
use crate::engine::kernels::Activation;

/// The plan of a model, by its `model_type`. What is not known is tried as the Llama that most are.
pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    if config.quantization_config.is_some() {
        let message =
            "quantization_config: weights that are quantised in safetensors are not read here; take the unquantised model or a GGUF file";
        return Err(LanguageError::Config(message.to_owned()));
    }
    match config.model_type.as_str() {
        "gemma" | "gemma2" | "gemma3_text" | "gemma3" => gemma::plan(config),
        "gpt2" => gpt2::plan(config),
        "granite" => granite::plan(config),
        "phi3" => phi3::plan(config),
        "qwen2" | "qwen3" => qwen::plan(config),
        _ => llama::plan(config),
    }?
    .check()
}

/// What `hidden_act` says.
fn activation(config: &Config, otherwise: &str) -> Result<Activation, LanguageError> {
    match config.hidden_act.as_deref().unwrap_or(otherwise) {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(LanguageError::Config(format!(
            "hidden_act \"{other}\" is not built here; silu, gelu, gelu_new, gelu_pytorch_tanh and relu are"
        ))),
    }
}
