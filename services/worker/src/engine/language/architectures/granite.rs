//! Granite: a Llama whose embeddings, scores, halves of layers and logits are each multiplied by a number of their own.

use super::{LanguageError, llama};
use crate::engine::language::{config::Config, plan::Plan};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    Ok(Plan {
        attention_scale: config.attention_multiplier.unwrap_or(1.0),
        embedding_scale: config.embedding_multiplier.unwrap_or(1.0),
        residual_scale: config.residual_multiplier.unwrap_or(1.0),
        logits_divisor: config.logits_scaling.unwrap_or(1.0),
        ..llama::plan(config)?
    })
}
