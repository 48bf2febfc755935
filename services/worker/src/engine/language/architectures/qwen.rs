//! Qwen2 and 2.5 (biases of queries, keys and values), Qwen3 (normalised queries and keys).

use super::{LanguageError, llama};
use crate::engine::language::{
    config::Config,
    plan::{Names, Plan},
};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    let mut plan = llama::plan(config)?;
    // The window is off unless it is switched on, and then it is for the layers behind the first few.
    let slides = config.use_sliding_window == Some(true);
    for (number, layer) in plan.layers.iter_mut().enumerate() {
        let behind = number >= config.max_window_layers.unwrap_or(28);
        layer.window = config.sliding_window.filter(|_| slides && config.slides(number, behind));
    }
    if config.model_type == "qwen3" {
        plan.names = Names { query_norm: Some("self_attn.q_norm"), key_norm: Some("self_attn.k_norm"), ..plan.names };
    }
    Ok(plan)
}
