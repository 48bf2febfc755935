//! The BERT encoder, written in operations that need no sizes.

use tch::{Kind, TchError, Tensor};

use crate::engine::encoder::{NetworkError, config::EncoderConfig, weights::Weights};
use crate::engine::kernels::Activation;

/// The network with its weights.
pub(super) struct Bert {
    words: Tensor,
    /// Token type 0 is added in: the encoder reads one text at a time.
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value side by side: one wide matrix multiplies faster than three narrow ones.
    attend: Linear,
    attended: Linear,
    attended_norm: Norm,
    widen: Linear,
    narrow: Linear,
    narrow_norm: Norm,
    heads: i64,
    head_size: i64,
    activation: Activation,
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    size: i64,
    epsilon: f64,
}

impl Bert {
    /// Collects the weights that `config` calls for.
    pub(super) fn new(config: &EncoderConfig, weights: &Weights) -> Result<Self, NetworkError> {
        let table = |name: &str, rows: i64| weights.get(&format!("embeddings.{name}.weight"), &[rows, config.hidden_size]);
        let first_type = table("token_type_embeddings", config.type_vocab_size)?.f_narrow(0, 0, 1)?;
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?.f_add(&first_type)?,
            norm: Norm::new(config, weights, "embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers).map(|index| Layer::new(config, weights, index)).collect::<Result<_, _>>()?,
        })
    }

    /// The last hidden state of `input_ids`, where `attention_mask` is 0 at padding.
    pub(super) fn forward(&self, input_ids: &Tensor, attention_mask: &Tensor) -> Result<Tensor, TchError> {
        // 0, 1, 2, … without asking for the length.
        let position_ids = input_ids.f_select(0, 0)?.f_ones_like()?.f_cumsum(0, Kind::Int64)?.f_sub_scalar(1)?;
        let positions = Tensor::f_embedding(&self.positions, &position_ids, -1, false, false)?;
        let words = Tensor::f_embedding(&self.words, input_ids, -1, false, false)?;
        // Padding gets the lowest finite score and not minus infinity, so that a row of padding alone stays a number. The product of
        // a truth value and a number is in single precision, on whatever device the mask is.
        let mask = attention_mask.f_eq(0)?.f_mul_scalar(f64::from(f32::MIN))?.f_unsqueeze(1)?.f_unsqueeze(1)?;
        let start = self.norm.forward(&words.f_add(&positions)?)?;
        self.layers.iter().try_fold(start, |hidden, layer| layer.forward(&hidden, &mask))
    }
}

impl Layer {
    fn new(config: &EncoderConfig, weights: &Weights, index: usize) -> Result<Self, NetworkError> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let linear = |part: &str, from: i64, to: i64| Linear::new(weights, &name(part), from, to);
        let [query, key, value] = ["query", "key", "value"].map(|part| linear(&format!("attention.self.{part}"), hidden, hidden));
        Ok(Self {
            attend: Linear::beside(&[query?, key?, value?])?,
            attended: linear("attention.output.dense", hidden, hidden)?,
            attended_norm: Norm::new(config, weights, &name("attention.output.LayerNorm"))?,
            widen: linear("intermediate.dense", hidden, wide)?,
            narrow: linear("output.dense", wide, hidden)?,
            narrow_norm: Norm::new(config, weights, &name("output.LayerNorm"))?,
            heads: config.num_attention_heads,
            head_size: hidden / config.num_attention_heads,
            activation: config.activation().map_err(NetworkError::Weights)?,
        })
    }

    fn forward(&self, hidden: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
        // [batch, sequence, 3 × hidden] → [3, batch, head, sequence, size]
        let split = self.attend.forward(hidden)?.f_unflatten(-1, [3, self.heads, self.head_size])?.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [0, 1, 2].map(|part| split.f_select(0, part));
        let mixed = Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, Some(mask), 0.0, false, None, false)?;
        let attended = self.attended.forward(&mixed.f_transpose(1, 2)?.f_flatten(2, 3)?)?;
        let hidden = self.attended_norm.forward(&attended.f_add(hidden)?)?;
        let narrowed = self.narrow.forward(&self.activation.apply(self.widen.forward(&hidden)?)?)?;
        self.narrow_norm.forward(&narrowed.f_add(&hidden)?)
    }
}

impl Linear {
    fn new(weights: &Weights, name: &str, from: i64, to: i64) -> Result<Self, NetworkError> {
        Ok(Self { weight: weights.get(&format!("{name}.weight"), &[to, from])?, bias: weights.get(&format!("{name}.bias"), &[to])? })
    }

    /// One layer whose output is that of `parts`, one after the other.
    fn beside(parts: &[Self]) -> Result<Self, TchError> {
        let join = |pick: fn(&Self) -> &Tensor| Tensor::f_cat(&parts.iter().map(pick).collect::<Vec<_>>(), 0);
        Ok(Self { weight: join(|part| &part.weight)?, bias: join(|part| &part.bias)? })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_linear(&self.weight, Some(&self.bias))
    }
}

impl Norm {
    fn new(config: &EncoderConfig, weights: &Weights, name: &str) -> Result<Self, NetworkError> {
        let size = config.hidden_size;
        let get = |part: &str| weights.get(&format!("{name}.{part}"), &[size]);
        Ok(Self { weight: get("weight")?, bias: get("bias")?, size, epsilon: config.layer_norm_eps })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_layer_norm([self.size], Some(&self.weight), Some(&self.bias), self.epsilon, false)
    }
}
