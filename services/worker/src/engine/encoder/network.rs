//! The encoder, on packed tokens: no padding is multiplied.

use tch::{TchError, Tensor};

use super::{
    NetworkError,
    config::{EncoderConfig, Family},
    linear::{Linear, Parts},
    names::{self, Part},
    pack::Group,
    weights::Weights,
};
use crate::engine::kernels::Activation;

/// The network with its weights.
#[derive(Debug)]
pub(super) struct Network {
    words: Tensor,
    positions: Tensor,
    /// Absent where a text has no types.
    types: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    attend: Linear,
    attended: Linear,
    attended_norm: Norm,
    widen: Linear,
    narrow: Linear,
    narrow_norm: Norm,
    heads: i64,
    head_size: i64,
}

/// Layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    size: i64,
    epsilon: f64,
}

/// Packed tokens: [tokens] each.
pub(super) struct Tokens {
    pub(super) ids: Tensor,
    pub(super) positions: Tensor,
    pub(super) types: Tensor,
}

impl Network {
    /// Collects the weights that `config` calls for; `packs` says which kernel multiplies.
    pub(super) fn new(config: &EncoderConfig, family: Family, weights: &Weights, packs: bool) -> Result<Self, NetworkError> {
        let table = |name: &str, rows: i64| weights.get(&format!("embeddings.{name}.weight"), &[rows, config.hidden_size]);
        let typed = config.type_vocab_size > 0 && family != Family::DistilBert;
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: typed.then(|| table("token_type_embeddings", config.type_vocab_size)).transpose()?,
            norm: Norm::new(config, weights, "embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(config, family, weights, index, packs))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The word embeddings, [tokens, hidden].
    pub(super) fn words(&self, ids: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(&self.words, ids, -1, false, false)
    }

    /// The last hidden state, [tokens, hidden], of tokens that lie in `groups`.
    pub(super) fn forward(&self, tokens: &Tokens, groups: &[Group]) -> Result<Tensor, TchError> {
        self.forward_words(&self.words(&tokens.ids)?, tokens, groups)
    }

    /// The same from word embeddings; of `tokens`, the ids are not looked at.
    pub(super) fn forward_words(&self, words: &Tensor, tokens: &Tokens, groups: &[Group]) -> Result<Tensor, TchError> {
        let look_up = |table: &Tensor, ids: &Tensor| Tensor::f_embedding(table, ids, -1, false, false);
        let mut start = look_up(&self.positions, &tokens.positions)?.f_add(words)?;
        if let Some(types) = &self.types {
            start = start.f_add_(&look_up(types, &tokens.types)?)?;
        }
        self.layers.iter().try_fold(self.norm.forward(&start)?, |hidden, layer| layer.forward(&hidden, groups))
    }
}

impl Layer {
    fn new(config: &EncoderConfig, family: Family, weights: &Weights, index: usize, packs: bool) -> Result<Self, NetworkError> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let parts = |part: Part, from: i64, to: i64| Parts::read(weights, &names::of_layer(family, index, part), from, to);
        let norm = |part: Part| Norm::new(config, weights, &names::of_layer(family, index, part));
        let activation = config.activation().map_err(NetworkError::Weights)?;
        let attend = [Part::Query, Part::Key, Part::Value].map(|part| parts(part, hidden, hidden));
        let [query, key, value] = attend;
        Ok(Self {
            attend: Parts::beside(&[query?, key?, value?])?.layer(Activation::None, packs)?,
            attended: parts(Part::Attended, hidden, hidden)?.layer(Activation::None, packs)?,
            attended_norm: norm(Part::AttendedNorm)?,
            widen: parts(Part::Widen, hidden, wide)?.layer(activation, packs)?,
            narrow: parts(Part::Narrow, wide, hidden)?.layer(Activation::None, packs)?,
            narrow_norm: norm(Part::NarrowNorm)?,
            heads: config.num_attention_heads,
            head_size: hidden / config.num_attention_heads,
        })
    }

    fn forward(&self, hidden: &Tensor, groups: &[Group]) -> Result<Tensor, TchError> {
        let mixed = self.mix(&self.attend.forward(hidden)?, groups)?;
        let hidden = self.attended_norm.forward(&self.attended.forward(&mixed)?.f_add_(hidden)?)?;
        let mut narrowed = self.narrow.forward(&self.widen.forward(&hidden)?)?;
        self.narrow_norm.forward(&narrowed.f_add_(&hidden)?)
    }

    /// Attention of each row to itself: [tokens, 3 × hidden] → [tokens, hidden]. Rows of one length go together.
    fn mix(&self, attend: &Tensor, groups: &[Group]) -> Result<Tensor, TchError> {
        let mut begin = 0;
        let mut mixed = Vec::with_capacity(groups.len());
        for group in groups {
            let tokens = group.rows * group.length;
            mixed.push(self.mix_group(&attend.f_narrow(0, begin, tokens)?, *group)?);
            begin += tokens;
        }
        match mixed.len() {
            1 => Ok(mixed.swap_remove(0)),
            _ => Tensor::f_cat(&mixed, 0),
        }
    }

    fn mix_group(&self, attend: &Tensor, group: Group) -> Result<Tensor, TchError> {
        // [3, rows, heads, length, size]
        let shape = [group.rows, group.length, 3, self.heads, self.head_size];
        let split = attend.f_view(shape)?.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [0, 1, 2].map(|part| split.f_select(0, part));
        let mixed = Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, None::<&Tensor>, 0.0, false, None, false)?;
        mixed.f_transpose(1, 2)?.f_reshape([group.rows * group.length, self.heads * self.head_size])
    }
}

impl Norm {
    pub(super) fn new(config: &EncoderConfig, weights: &Weights, name: &str) -> Result<Self, NetworkError> {
        let size = config.hidden_size;
        let get = |part: &str| weights.get(&format!("{name}.{part}"), &[size]);
        Ok(Self { weight: get("weight")?, bias: get("bias")?, size, epsilon: config.layer_norm_eps })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_layer_norm([self.size], Some(&self.weight), Some(&self.bias), self.epsilon, false)
    }
}
