//! Gemma 1 to 3 (its text part): norms whose weights are kept less one, scaled embeddings; from 2 on norms behind each half of a layer too, windows in some
//! of the layers, and scores and logits that are held; 3 has normalised queries and keys, and turns slower in layers without a window.

use super::{LanguageError, activation, llama};
use crate::engine::language::{
    config::Config,
    plan::{LayerPlan, Names, NormKind, Plan},
    rotary::Rotary,
};

pub(super) fn plan(config: &Config) -> Result<Plan, LanguageError> {
    let third = config.model_type.starts_with("gemma3");
    let head = config.head_dim.unwrap_or(256);
    // Gemma's first files say `gelu` and mean the other.
    let hidden_act = config.hidden_activation.clone().or_else(|| config.hidden_act.clone().filter(|name| name != "gelu"));
    let config = &Config { head_dim: Some(head), hidden_act, ..config.clone() };
    let bare = Config { hidden_act: None, rope_parameters: None, rope_scaling: None, sliding_window: None, ..config.clone() };
    let plain = llama::plan(&bare)?;
    let plan = Plan {
        norm: NormKind::Root { epsilon: config.rms_norm_eps.unwrap_or(1e-6), from_zero: true },
        activation: activation(config, "gelu_pytorch_tanh")?,
        embedding_scale: (config.hidden_size as f64).sqrt(),
        context: config.max_position_embeddings.unwrap_or(8192),
        ..plain
    };
    if config.model_type == "gemma" {
        return Ok(Plan { rotaries: vec![Rotary::read(config, 10_000.0)?], ..plan });
    }
    let names = Names {
        attended_norm: Some("post_attention_layernorm"),
        feed_norm: "pre_feedforward_layernorm",
        narrow_norm: Some("post_feedforward_layernorm"),
        query_norm: third.then_some("self_attn.q_norm"),
        key_norm: third.then_some("self_attn.k_norm"),
        ..plan.names
    };
    // Of 2 every second layer has the window, of 3 all but every sixth.
    let pattern = config.sliding_window_pattern.unwrap_or(if third { 6 } else { 2 }).max(1);
    let slides = |layer: usize| config.slides(layer, !(layer + 1).is_multiple_of(pattern));
    let window = Some(config.sliding_window.unwrap_or(4096));
    let layer = |layer| LayerPlan { window: window.filter(|_| slides(layer)), rotary: Some(usize::from(third && slides(layer))) };
    let rotaries = match (third, config.rope_parameters.as_ref().is_some_and(|all| all.get("full_attention").is_some())) {
        (true, true) => vec![Rotary::of_kind(config, "full_attention", 1e6)?, Rotary::of_kind(config, "sliding_attention", 10_000.0)?],
        (true, false) => vec![Rotary::read(config, 1e6)?, Rotary::plain(config, config.rope_local_base_freq.unwrap_or(10_000.0))?],
        (false, _) => vec![Rotary::read(config, 10_000.0)?],
    };
    Ok(Plan {
        layers: (0..config.num_hidden_layers).map(layer).collect(),
        rotaries,
        attention_scale: config.query_pre_attn_scalar.unwrap_or(256.0).powf(-0.5),
        attention_cap: config.attn_logit_softcapping,
        logits_cap: config.final_logit_softcapping,
        names,
        ..plan
    })
}
