//! What a decoder computes, in one form for every architecture; and where its weights are.

use super::{LanguageError, rotary::Rotary};
use crate::engine::kernels::Activation;

/// A decoder. Sizes are checked ([`Plan::check`]).
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) vocabulary: usize,
    /// Values of a token between the layers.
    pub(super) hidden: usize,
    /// Heads of queries.
    pub(super) heads: usize,
    /// Heads of keys and values; `heads` is a multiple of it.
    pub(super) kv_heads: usize,
    /// Values of a head.
    pub(super) head: usize,
    /// Values of a token in the middle of the second half of a layer.
    pub(super) inner: usize,
    /// Tokens in the longest sequence.
    pub(super) context: usize,
    pub(super) layers: Vec<LayerPlan>,
    pub(super) norm: NormKind,
    pub(super) activation: Activation,
    /// What turns queries and keys; a layer names one of them.
    pub(super) rotaries: Vec<Rotary>,
    /// What scores are multiplied by.
    pub(super) attention_scale: f64,
    /// What holds the scores.
    pub(super) attention_cap: Option<f64>,
    /// What holds the logits.
    pub(super) logits_cap: Option<f64>,
    /// What logits are divided by.
    pub(super) logits_divisor: f64,
    /// What embeddings are multiplied by.
    pub(super) embedding_scale: f64,
    /// What each half of a layer is multiplied by before it is added.
    pub(super) residual_scale: f64,
    pub(super) names: Names,
}

/// What one layer has of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerPlan {
    /// How many tokens a token sees, itself included.
    pub(super) window: Option<usize>,
    /// Which of the rotaries; none: positions do not turn anything.
    pub(super) rotary: Option<usize>,
}

/// How a token's values are normalised.
#[derive(Clone, Copy, Debug)]
pub(super) enum NormKind {
    /// By the root of the mean square; `from_zero`: the weights are kept less one.
    Root { epsilon: f64, from_zero: bool },
    /// By mean and variance, with a bias.
    Layer { epsilon: f64 },
}

/// The names of the weights: as Hugging Face's implementation of the architecture has them. Those of a layer come behind `layer` with the layer's number
/// in the place of `{}`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// What may stand in front of all of them.
    pub(super) prefixes: &'static [&'static str],
    pub(super) embeddings: &'static str,
    /// Learned positions.
    pub(super) positions: Option<&'static str>,
    pub(super) last_norm: &'static str,
    /// Without any prefix. Where the file has none, the embeddings are used.
    pub(super) head: &'static str,
    pub(super) layer: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) queries_keys_values: Parts,
    pub(super) query_norm: Option<&'static str>,
    pub(super) key_norm: Option<&'static str>,
    pub(super) attended: &'static str,
    /// Of what attention gives, before it is added.
    pub(super) attended_norm: Option<&'static str>,
    pub(super) feed_norm: &'static str,
    /// The gate first, where there is one.
    pub(super) widen: Parts,
    /// Whether `widen` has a gate.
    pub(super) gated: bool,
    pub(super) narrow: &'static str,
    /// Of what the second half gives, before it is added.
    pub(super) narrow_norm: Option<&'static str>,
    /// Whether weights of linear layers are kept as [in, out].
    pub(super) turned: bool,
}

/// Linear layers that read the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts {
    /// One tensor each.
    Each(&'static [&'static str]),
    /// One below the other in one tensor.
    Joined(&'static str),
}

impl Plan {
    /// Whether the sizes fit each other, so that whoever runs it need not ask.
    pub(super) fn check(self) -> Result<Self, LanguageError> {
        let sizes = [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("num_hidden_layers", self.layers.len()),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head),
            ("intermediate_size", self.inner),
            ("max_position_embeddings", self.context),
        ];
        for (name, size) in sizes {
            if size == 0 || size > 1 << 24 {
                return Err(LanguageError::Config(format!("{name} is {size} or missing")));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            return Err(LanguageError::Config(format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}")));
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return Err(LanguageError::Config("sliding_window must be over 0".to_owned()));
        }
        Ok(self)
    }

    /// Columns of queries, keys and values side by side.
    pub(super) fn mixed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head
    }
}
