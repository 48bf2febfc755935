//! `config.json` of a language model, as Hugging Face's libraries write it. Every field is optional here; an architecture says what it needs.

use serde::Deserialize;
use serde_json::Value;

use super::LanguageError;

/// The most layers of a network, and the most values of a head and of a token: what is reckoned from a file takes memory before its weights are looked at.
const MOST_LAYERS: usize = 1024;
const MOST_OF_HEAD: usize = 1 << 16;
const MOST_OF_TOKEN: usize = 1 << 24;

/// The fields that some architecture reads.
#[expect(clippy::struct_field_names, reason = "the names are the file's")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) model_type: String,
    pub(super) vocab_size: usize,
    #[serde(alias = "n_embd")]
    pub(super) hidden_size: usize,
    #[serde(alias = "n_layer")]
    pub(super) num_hidden_layers: usize,
    #[serde(alias = "n_head")]
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: Option<usize>,
    pub(super) head_dim: Option<usize>,
    #[serde(alias = "n_inner")]
    pub(super) intermediate_size: Option<usize>,
    #[serde(alias = "n_positions")]
    pub(super) max_position_embeddings: Option<usize>,
    #[serde(alias = "activation_function")]
    pub(super) hidden_act: Option<String>,
    pub(super) hidden_activation: Option<String>,
    #[serde(alias = "layer_norm_epsilon")]
    pub(super) rms_norm_eps: Option<f64>,
    pub(super) tie_word_embeddings: Option<bool>,
    pub(super) attention_bias: Option<bool>,
    pub(super) mlp_bias: Option<bool>,
    pub(super) rope_theta: Option<f64>,
    pub(super) rope_local_base_freq: Option<f64>,
    pub(super) rope_scaling: Option<Value>,
    pub(super) rope_parameters: Option<Value>,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) original_max_position_embeddings: Option<f64>,
    pub(super) sliding_window: Option<usize>,
    pub(super) use_sliding_window: Option<bool>,
    pub(super) max_window_layers: Option<usize>,
    pub(super) sliding_window_pattern: Option<usize>,
    pub(super) layer_types: Option<Vec<String>>,
    pub(super) no_rope_layers: Option<Vec<u8>>,
    pub(super) no_rope_layer_interval: Option<usize>,
    pub(super) query_pre_attn_scalar: Option<f64>,
    pub(super) attn_logit_softcapping: Option<f64>,
    pub(super) final_logit_softcapping: Option<f64>,
    pub(super) attention_multiplier: Option<f64>,
    pub(super) embedding_multiplier: Option<f64>,
    pub(super) residual_multiplier: Option<f64>,
    pub(super) logits_scaling: Option<f64>,
    pub(super) scale_attn_weights: Option<bool>,
    pub(super) scale_attn_by_inverse_layer_idx: Option<bool>,
    pub(super) text_config: Option<Value>,
    pub(super) quantization_config: Option<Value>,
}

impl Config {
    /// Reads it. A model that also sees has its language model's part in `text_config`.
    pub(super) fn read(text: &str) -> Result<Self, LanguageError> {
        let wrong = |error: serde_json::Error| LanguageError::Config(format!("is not what it should be: {error}"));
        let config: Self = serde_json::from_str(text).map_err(wrong)?;
        match config.text_config {
            Some(inner) => serde_json::from_value::<Self>(inner).map_err(wrong)?.bounded(),
            None => config.bounded(),
        }
    }

    fn bounded(self) -> Result<Self, LanguageError> {
        let sizes = [
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("head_dim", self.head(), MOST_OF_HEAD),
            ("hidden_size", self.hidden_size, MOST_OF_TOKEN),
        ];
        match sizes.into_iter().find(|(_, size, most)| size > most) {
            Some((name, size, most)) => Err(LanguageError::Config(format!("{name} is {size}; at most {most} is built here"))),
            None => Ok(self),
        }
    }

    /// `num_key_value_heads`; as many as heads where it is absent.
    pub(super) fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// `head_dim`; the heads' equal parts of `hidden_size` where it is absent.
    pub(super) fn head(&self) -> usize {
        self.head_dim.unwrap_or_else(|| self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(0))
    }

    /// `layer_types` of this layer is `sliding_attention`; `otherwise` where there is no such list.
    pub(super) fn slides(&self, layer: usize, otherwise: bool) -> bool {
        let listed = self.layer_types.as_ref().and_then(|types| types.get(layer));
        listed.map_or(otherwise, |kind| kind == "sliding_attention")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_no_network_has_is_refused_before_memory_is_taken_for_it() {
        for (text, expected) in [
            (r#"{"num_hidden_layers": 1000000000000}"#, "num_hidden_layers is 1000000000000; at most 1024"),
            (r#"{"text_config": {"n_layer": 1025}}"#, "num_hidden_layers is 1025"),
            (r#"{"head_dim": 1000000000000}"#, "head_dim is 1000000000000"),
            (r#"{"hidden_size": 18446744073709551615, "num_attention_heads": 18446744073709551615}"#, "hidden_size is"),
        ] {
            let refused = Config::read(text).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
