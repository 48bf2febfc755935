//! GPT-2: learned positions, norms by mean and variance, one wide layer without a gate, weights kept as [in, out].

use super::{LanguageError, activation};
use crate::engine::language::{
    config::Config,
    plan::{LayerPlan, Names, NormKind, Parts, Plan},
};

const NAMES: Names = Names {
    prefixes: &["transformer.", ""],
    embeddings: "wte.weight",
    positions: Some("wpe.weight"),
    last_norm: "ln_f",
    head: "lm_head.weight",
    layer: "h.{}.",
    attention_norm: "ln_1",
    queries_keys_values: Parts::Joined("attn.c_attn"),
    query_norm: None,
    key_norm: None,
    attended: "attn.c_proj",
    attended_norm: None,
    feed_norm: "ln_2",
    widen: Parts::Joined("mlp.c_fc"),
    gated: false,
    narrow: "mlp.c_proj",
    narrow_norm: None,
    turned: true,
};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    if config.scale_attn_by_inverse_layer_idx == Some(true) {
        return Err(LanguageError::Config("scale_attn_by_inverse_layer_idx is not built here".to_owned()));
    }
    Ok(Plan {
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        kv_heads: config.num_attention_heads,
        head: config.head(),
        inner: config.intermediate_size.unwrap_or(4 * config.hidden_size),
        context: config.max_position_embeddings.unwrap_or(1024),
        layers: vec![LayerPlan { window: None, rotary: None }; config.num_hidden_layers],
        norm: NormKind::Layer { epsilon: config.rms_norm_eps.unwrap_or(1e-5) },
        activation: activation(config, "gelu_new")?,
        rotaries: Vec::new(),
        attention_scale: if config.scale_attn_weights == Some(false) { 1.0 } else { (config.head() as f64).powf(-0.5) },
        attention_cap: None,
        logits_cap: None,
        logits_divisor: 1.0,
        embedding_scale: 1.0,
        residual_scale: 1.0,
        names: NAMES,
    })
}
