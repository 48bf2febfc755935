//! Llama 1 to 3, and what is laid out like it: SmolLM and SmolLM3, Mistral with its sliding window, and others by their weights alone.

use super::{LanguageError, activation};
use crate::engine::language::{
    config::Config,
    plan::{LayerPlan, Names, NormKind, Parts, Plan},
    rotary::Rotary,
};

/// The names that most architectures share.
pub(super) const NAMES: Names = Names {
    prefixes: &["model.", "language_model.model.", "model.language_model.", ""],
    embeddings: "embed_tokens.weight",
    positions: None,
    last_norm: "norm",
    head: "lm_head.weight",
    layer: "layers.{}.",
    attention_norm: "input_layernorm",
    queries_keys_values: Parts::Each(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    query_norm: None,
    key_norm: None,
    attended: "self_attn.o_proj",
    attended_norm: None,
    feed_norm: "post_attention_layernorm",
    widen: Parts::Each(&["mlp.gate_proj", "mlp.up_proj"]),
    gated: true,
    narrow: "mlp.down_proj",
    narrow_norm: None,
    turned: false,
};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    // Of SmolLM3: every fourth layer does not turn.
    let interval = (config.model_type == "smollm3").then(|| config.no_rope_layer_interval.unwrap_or(4));
    let turns = |layer: usize| match (&config.no_rope_layers, interval) {
        (Some(listed), _) => listed.get(layer).is_none_or(|&turns| turns != 0),
        (None, Some(interval)) => interval == 0 || !(layer + 1).is_multiple_of(interval),
        (None, None) => true,
    };
    // A window that is written down holds unless it is switched off, in all layers or in those that are listed.
    let window = config.sliding_window.filter(|_| config.use_sliding_window.unwrap_or(config.model_type != "smollm3"));
    let layer = |layer| LayerPlan { window: window.filter(|_| config.slides(layer, true)), rotary: turns(layer).then_some(0) };
    Ok(Plan {
        vocabulary: config.vocab_size,
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        kv_heads: config.kv_heads(),
        head: config.head(),
        inner: config.intermediate_size.unwrap_or(0),
        context: config.max_position_embeddings.unwrap_or(2048),
        layers: (0..config.num_hidden_layers).map(layer).collect(),
        norm: NormKind::Root { epsilon: config.rms_norm_eps.unwrap_or(1e-6), from_zero: false },
        activation: activation(config, "silu")?,
        rotaries: vec![Rotary::read(config, 10_000.0)?],
        attention_scale: (config.head() as f64).powf(-0.5),
        attention_cap: None,
        logits_cap: None,
        logits_divisor: 1.0,
        embedding_scale: 1.0,
        residual_scale: 1.0,
        names: NAMES,
    })
}
