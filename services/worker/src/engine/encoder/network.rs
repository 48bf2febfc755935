//! The encoder, on packed tokens: no padding is multiplied.

use tch::{TchError, Tensor};

use super::{
    NetworkError,
    config::{EncoderConfig, Family},
    distances::Distances,
    linear::{Linear, Parts},
    names::{self, Part},
    pack::Group,
    weights::Weights,
};
use crate::engine::kernels::{self, Activation};

/// The network with its weights.
#[derive(Debug)]
pub(super) struct Network {
    words: Tensor,
    positions: Tensor,
    /// Absent where a text has no types.
    types: Option<Tensor>,
    norm: Norm,
    /// What makes embeddings as wide as what the layers work on, where they are not.
    project: Option<Linear>,
    distances: Option<Distances>,
    layers: Vec<Layer>,
    /// How many layers are gone through; they are taken in turn.
    depth: usize,
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
    /// Where texts of several lengths attend in one go.
    pub(super) texts: Option<Texts>,
}

/// Where the packed texts lie, on a GPU.
pub(super) struct Texts {
    /// [texts + 1], `INT32`: where each begins, and the last ends.
    pub(super) begins: Tensor,
    /// Tokens of the longest one.
    pub(super) longest: i64,
}

impl Network {
    /// Collects the weights that `config` calls for; `packs` says which kernel multiplies.
    pub(super) fn new(config: &EncoderConfig, family: Family, weights: &Weights, packs: bool) -> Result<Self, NetworkError> {
        let table = |name: &str, rows: i64| weights.get(&format!("embeddings.{name}.weight"), &[rows, config.embedding_size()]);
        let (narrow, hidden) = (config.embedding_size(), config.hidden_size);
        let project =
            || Ok::<_, NetworkError>(Parts::read(weights, names::of_projection(family), narrow, hidden)?.layer(Activation::None, packs)?);
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: config.has_types().then(|| table("token_type_embeddings", config.type_vocab_size)).transpose()?,
            norm: Norm::new(config, weights, "embeddings.LayerNorm", narrow)?,
            project: config.projects().then(project).transpose()?,
            distances: (family == Family::MpNet).then(|| Distances::new(config, weights)).transpose()?,
            layers: (0..config.own_layers()).map(|index| Layer::new(config, family, weights, index, packs)).collect::<Result<_, _>>()?,
            depth: config.num_hidden_layers,
        })
    }

    /// The word embeddings, [tokens, embedding].
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
        let mut start = self.norm.forward(&start)?;
        if let Some(project) = &self.project {
            start = project.forward(&start)?;
        }
        let texts = tokens.texts.as_ref().filter(|_| self.distances.is_none());
        if let Some(texts) = texts {
            let through = |hidden: Tensor, layer: &Layer| layer.finish(&layer.mix_texts(&layer.attend.forward(&hidden)?, texts)?, &hidden);
            return self.layers.iter().cycle().take(self.depth).try_fold(start, through);
        }
        let of_group = |group: &Group| self.distances.as_ref().map(|distances| distances.of_group(*group)).transpose();
        let near = groups.iter().map(of_group).collect::<Result<Vec<_>, _>>()?;
        self.layers.iter().cycle().take(self.depth).try_fold(start, |hidden, layer| layer.forward(&hidden, groups, &near))
    }
}

impl Layer {
    fn new(config: &EncoderConfig, family: Family, weights: &Weights, index: usize, packs: bool) -> Result<Self, NetworkError> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let parts = |part: Part, from: i64, to: i64| Parts::read(weights, &names::of_layer(family, index, part), from, to);
        let norm = |part: Part| Norm::new(config, weights, &names::of_layer(family, index, part), hidden);
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

    fn forward(&self, hidden: &Tensor, groups: &[Group], near: &[Option<Tensor>]) -> Result<Tensor, TchError> {
        self.finish(&self.mix(&self.attend.forward(hidden)?, groups, near)?, hidden)
    }

    /// What follows attention.
    fn finish(&self, mixed: &Tensor, hidden: &Tensor) -> Result<Tensor, TchError> {
        let hidden = self.attended_norm.forward(&self.attended.forward(mixed)?.f_add_(hidden)?)?;
        let mut narrowed = self.narrow.forward(&self.widen.forward(&hidden)?)?;
        self.narrow_norm.forward(&narrowed.f_add_(&hidden)?)
    }

    /// Attention of each row to itself: [tokens, 3 × hidden] → [tokens, hidden]. Rows of one length go together; `near` is what is added to their scores.
    fn mix(&self, attend: &Tensor, groups: &[Group], near: &[Option<Tensor>]) -> Result<Tensor, TchError> {
        let mut begin = 0;
        let mut mixed = Vec::with_capacity(groups.len());
        for (group, near) in groups.iter().zip(near) {
            let tokens = group.rows * group.length;
            mixed.push(self.mix_group(&attend.f_narrow(0, begin, tokens)?, *group, near.as_ref())?);
            begin += tokens;
        }
        match mixed.len() {
            1 => Ok(mixed.swap_remove(0)),
            _ => Tensor::f_cat(&mixed, 0),
        }
    }

    /// The same in one go, whatever the lengths.
    fn mix_texts(&self, attend: &Tensor, texts: &Texts) -> Result<Tensor, TchError> {
        let mixed = attend.f_view([-1, 3, self.heads, self.head_size])?;
        kernels::attend_texts(&mixed, &texts.begins, texts.longest)?.f_reshape([-1, self.heads * self.head_size])
    }

    fn mix_group(&self, attend: &Tensor, group: Group, near: Option<&Tensor>) -> Result<Tensor, TchError> {
        // [3, rows, heads, length, size]
        let shape = [group.rows, group.length, 3, self.heads, self.head_size];
        let split = attend.f_view(shape)?.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [0, 1, 2].map(|part| split.f_select(0, part));
        let mixed = Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, near, 0.0, false, None, false)?;
        mixed.f_transpose(1, 2)?.f_reshape([group.rows * group.length, self.heads * self.head_size])
    }
}

impl Norm {
    pub(super) fn new(config: &EncoderConfig, weights: &Weights, name: &str, size: i64) -> Result<Self, NetworkError> {
        let get = |part: &str| weights.get(&format!("{name}.{part}"), &[size]);
        Ok(Self { weight: get("weight")?, bias: get("bias")?, size, epsilon: config.layer_norm_eps })
    }

    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        input.f_layer_norm([self.size], Some(&self.weight), Some(&self.bias), self.epsilon, false)
    }
}
