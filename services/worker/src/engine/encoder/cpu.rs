//! The encoder on a CPU, by our own kernels: what [`super::network::Network`] computes, without libtorch between the steps.

use std::{cell::RefCell, ops::Range};

use tch::{TchError, Tensor};

use super::{
    NetworkError,
    config::{EncoderConfig, Family},
    names::{self, Part},
    pack::{Group, Ids},
    weights::Weights,
};
use crate::engine::{
    kernels::{Activation, Lines, Rows, Simd, Weight},
    tensors,
};

/// Tokens that go through the whole network together; a longer text goes alone. It bounds the buffers: beyond it a product gains nothing.
const SLICE: usize = 512;
/// Tokens that go through the second half of a layer together, so that what they become on the way stays in the cache.
const BLOCK: usize = 84;

/// The network with its weights and what it works in. It cannot be differentiated; the plain network can.
#[derive(Debug)]
pub(super) struct CpuNetwork {
    simd: Simd,
    words: Tensor,
    positions: Tensor,
    /// Absent where a text has no types.
    types: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
    activation: Activation,
    heads: usize,
    hidden: usize,
    wide: usize,
    buffers: RefCell<Option<Buffers>>,
}

#[derive(Debug)]
struct Layer {
    attend: Weight,
    attended: Weight,
    attended_norm: Norm,
    widen: Weight,
    narrow: Weight,
    narrow_norm: Norm,
}

/// Layer normalisation.
#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

/// What a slice of tokens becomes on its way, each [tokens, …].
#[derive(Debug)]
struct Buffers {
    hidden: Rows,
    /// Query, key and value.
    mixed: Rows,
    attended: Rows,
    /// After the first half of a layer.
    halfway: Rows,
    wide: Rows,
    scratch: Lines,
}

impl CpuNetwork {
    /// Collects and packs the weights that `config` calls for, rounded to `BF16` if `brief` and if this processor multiplies those.
    pub(super) fn new(config: &EncoderConfig, family: Family, weights: &Weights, brief: bool) -> Result<Self, NetworkError> {
        let simd = Simd::best();
        if brief && !simd.multiplies_bf16() {
            tracing::warn!(instructions = simd.name, "this processor does not multiply bf16; the model runs in fp32");
        }
        tracing::info!(instructions = simd.name, "the encoder runs on its own kernels");
        let table = |name: &str, rows: i64| weights.get(&format!("embeddings.{name}.weight"), &[rows, config.hidden_size]);
        let typed = config.type_vocab_size > 0 && family != Family::DistilBert;
        let maker = Maker { config, family, weights, simd, brief };
        Ok(Self {
            simd,
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: typed.then(|| table("token_type_embeddings", config.type_vocab_size)).transpose()?,
            norm: maker.norm("embeddings.LayerNorm")?,
            layers: (0..config.num_hidden_layers).map(|index| maker.layer(index)).collect::<Result<_, _>>()?,
            activation: config.activation().map_err(NetworkError::Weights)?,
            heads: unsigned(config.num_attention_heads),
            hidden: unsigned(config.hidden_size),
            wide: unsigned(config.intermediate_size),
            buffers: RefCell::default(),
        })
    }

    /// The last hidden state, `FP32` [tokens, hidden], of tokens that lie in `groups`.
    pub(super) fn forward(&self, ids: &Ids, groups: &[Group]) -> Result<Tensor, TchError> {
        let width = self.hidden;
        let mut answer = Vec::with_capacity(ids.words.len() * width);
        let lengths: Vec<usize> =
            groups.iter().flat_map(|group| std::iter::repeat_n(unsigned(group.length), unsigned(group.rows))).collect();
        let mut buffers = self.buffers.take().unwrap_or_else(|| Buffers::new(self.simd, 0, self));
        let mut begin = 0;
        for lengths in slices(&lengths) {
            let count = lengths.iter().sum();
            if buffers.hidden.count() < count {
                buffers = Buffers::new(self.simd, count, self);
            }
            self.embed(ids, begin..begin + count, &mut buffers)?;
            for layer in &self.layers {
                self.run(layer, lengths, count, &mut buffers);
            }
            (0..count).for_each(|row| answer.extend_from_slice(buffers.hidden.row(row)));
            begin += count;
        }
        self.buffers.replace((buffers.hidden.count() <= SLICE).then_some(buffers));
        Tensor::f_from_slice(&answer)?.f_view([signed(ids.words.len()), signed(width)])
    }

    fn embed(&self, ids: &Ids, range: Range<usize>, buffers: &mut Buffers) -> Result<(), TchError> {
        let (words, positions) = (tensors::values(&self.words)?, tensors::values(&self.positions)?);
        let types = self.types.as_ref().map(tensors::values).transpose()?;
        let entry = |table: &'_ [f32], id: i64| -> Range<usize> {
            let begin = unsigned(id) * self.hidden;
            debug_assert!(begin < table.len(), "ids are checked before");
            begin..begin + self.hidden
        };
        for (row, at) in range.clone().enumerate() {
            let parts = words[entry(words, ids.words[at])].iter().zip(&positions[entry(positions, ids.positions[at])]);
            let out = buffers.hidden.row_mut(row);
            for (value, (word, position)) in out.iter_mut().zip(parts) {
                *value = word + position;
            }
            if let Some(types) = types {
                for (value, kind) in out.iter_mut().zip(&types[entry(types, ids.types[at])]) {
                    *value += kind;
                }
            }
        }
        self.norm.apply(self.simd, &mut buffers.hidden, 0..range.len());
        Ok(())
    }

    /// One layer, on the first `count` tokens of the buffers, which are texts of the given lengths.
    fn run(&self, layer: &Layer, lengths: &[usize], count: usize, buffers: &mut Buffers) {
        let Buffers { hidden, mixed, attended, halfway, wide, scratch } = buffers;
        for block in blocks(count) {
            let out = &mut mixed.part_mut(block.clone());
            layer.attend.multiply(hidden.part(block), Activation::None, None, scratch, out);
        }
        let mut begin = 0;
        for length in lengths {
            let text = begin..begin + length;
            begin = text.end;
            self.simd.attend(mixed.part(text.clone()), self.heads, scratch, &mut attended.part_mut(text));
        }
        for block in blocks(count) {
            let part = 0..block.len();
            let out = &mut halfway.part_mut(part.clone());
            layer.attended.multiply(attended.part(block.clone()), Activation::None, Some(hidden.part(block.clone())), scratch, out);
            layer.attended_norm.apply(self.simd, halfway, part.clone());
            layer.widen.multiply(halfway.part(part.clone()), self.activation, None, scratch, &mut wide.part_mut(part.clone()));
            let out = &mut hidden.part_mut(block.clone());
            layer.narrow.multiply(wide.part(part.clone()), Activation::None, Some(halfway.part(part)), scratch, out);
            layer.narrow_norm.apply(self.simd, hidden, block);
        }
    }
}

impl Buffers {
    fn new(simd: Simd, count: usize, network: &CpuNetwork) -> Self {
        let (hidden, block) = (network.hidden, count.min(BLOCK));
        Self {
            hidden: simd.rows(count, hidden),
            mixed: simd.rows(count, 3 * hidden),
            attended: simd.rows(count, hidden),
            halfway: simd.rows(block, hidden),
            wide: simd.rows(block, network.wide),
            scratch: Lines::default(),
        }
    }
}

impl Norm {
    fn apply(&self, simd: Simd, rows: &mut Rows, range: Range<usize>) {
        simd.normalise(&mut rows.part_mut(range), &self.weight, &self.bias, self.epsilon);
    }
}

/// What the layers are made of.
struct Maker<'a> {
    config: &'a EncoderConfig,
    family: Family,
    weights: &'a Weights,
    simd: Simd,
    brief: bool,
}

impl Maker<'_> {
    fn layer(&self, index: usize) -> Result<Layer, NetworkError> {
        let (hidden, wide) = (self.config.hidden_size, self.config.intermediate_size);
        let name = |part: Part| names::of_layer(self.family, index, part);
        let one = |part: Part, from: i64, to: i64| Ok::<_, NetworkError>(self.pack(self.linear(&name(part), from, to)?));
        Ok(Layer {
            attend: self.attend(&name)?,
            attended: one(Part::Attended, hidden, hidden)?,
            attended_norm: self.norm(&name(Part::AttendedNorm))?,
            widen: one(Part::Widen, hidden, wide)?,
            narrow: one(Part::Narrow, wide, hidden)?,
            narrow_norm: self.norm(&name(Part::NarrowNorm))?,
        })
    }

    /// Query, key and value side by side; the query with attention's scale in it.
    fn attend(&self, name: &impl Fn(Part) -> String) -> Result<Weight, NetworkError> {
        let hidden = self.config.hidden_size;
        let scale = ((hidden / self.config.num_attention_heads) as f32).sqrt().recip();
        let (mut weight, mut bias) = self.linear(&name(Part::Query), hidden, hidden)?;
        weight.iter_mut().chain(&mut bias).for_each(|value| *value *= scale);
        for part in [Part::Key, Part::Value] {
            let (more, more_bias) = self.linear(&name(part), hidden, hidden)?;
            weight.extend(more);
            bias.extend(more_bias);
        }
        Ok(self.pack((weight, bias)))
    }

    fn pack(&self, (weight, bias): (Vec<f32>, Vec<f32>)) -> Weight {
        self.simd.pack(&weight, &bias, self.brief)
    }

    /// A layer's weight [to, from] and bias [to].
    fn linear(&self, name: &str, from: i64, to: i64) -> Result<(Vec<f32>, Vec<f32>), NetworkError> {
        Ok((self.get(&format!("{name}.weight"), &[to, from])?, self.get(&format!("{name}.bias"), &[to])?))
    }

    fn norm(&self, name: &str) -> Result<Norm, NetworkError> {
        let get = |part: &str| self.get(&format!("{name}.{part}"), &[self.config.hidden_size]);
        Ok(Norm { weight: get("weight")?, bias: get("bias")?, epsilon: self.config.layer_norm_eps as f32 })
    }

    fn get(&self, name: &str, shape: &[i64]) -> Result<Vec<f32>, NetworkError> {
        Ok(tensors::values(&self.weights.get(name, shape)?)?.to_vec())
    }
}

/// Texts in runs of [`SLICE`] tokens at most, or of one text.
fn slices(mut lengths: &[usize]) -> impl Iterator<Item = &[usize]> {
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fitting = lengths.iter().take_while(|&&length| {
            tokens += length;
            tokens <= SLICE
        });
        let (slice, rest) = lengths.split_at_checked(fitting.count().max(1))?;
        lengths = rest;
        Some(slice)
    })
}

/// `count` tokens in blocks as equal as can be.
fn blocks(count: usize) -> impl Iterator<Item = Range<usize>> {
    let number = count.div_ceil(BLOCK);
    (0..number).map(move |at| count * at / number..count * (at + 1) / number)
}

fn unsigned(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_blocks_hold_everything_once_in_order() {
        let lengths = [1, 500, 12, 3, 900, 512, 1];
        let cut: Vec<Vec<usize>> = slices(&lengths).map(<[usize]>::to_vec).collect();
        assert_eq!(cut, [vec![1, 500], vec![12, 3], vec![900], vec![512], vec![1]]);
        assert!(slices(&[]).next().is_none());
        for count in [0, 1, 83, 84, 85, 512] {
            let blocks: Vec<_> = blocks(count).collect();
            assert!(blocks.iter().all(|block| !block.is_empty() && block.len() <= BLOCK));
            assert_eq!(blocks.into_iter().flatten().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        }
    }
}
