//! The encoder on a CPU, by our own kernels: what [`super::network::Network`] computes, without libtorch between the steps.

mod make;

use std::{cell::RefCell, ops::Range};

use tch::{TchError, Tensor};

use self::make::Maker;
use super::{
    NetworkError,
    config::{EncoderConfig, Family},
    distances::Distances,
    names,
    pack::{Group, Ids},
    weights::Weights,
};
use crate::engine::{
    kernels::{Activation, Lines, Nearness, Rows, Simd, Weight},
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
    /// What makes embeddings as wide as what the layers work on, where they are not.
    project: Option<Weight>,
    distances: Option<Distances>,
    layers: Vec<Layer>,
    /// How many layers are gone through; they are taken in turn.
    depth: usize,
    activation: Activation,
    heads: usize,
    /// The width of the embeddings.
    narrow: usize,
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
    /// The embeddings, where they are narrower.
    narrow: Option<Rows>,
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
        let (narrow, hidden) = (config.embedding_size(), config.hidden_size);
        let table = |name: &str, rows: i64| weights.get(&format!("embeddings.{name}.weight"), &[rows, narrow]);
        let maker = Maker { config, family, weights, simd, brief };
        Ok(Self {
            simd,
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            types: config.has_types().then(|| table("token_type_embeddings", config.type_vocab_size)).transpose()?,
            norm: maker.norm("embeddings.LayerNorm", narrow)?,
            project: config.projects().then(|| maker.one(names::of_projection(family), narrow, hidden)).transpose()?,
            distances: (family == Family::MpNet).then(|| Distances::new(config, weights)).transpose()?,
            layers: (0..config.own_layers()).map(|index| maker.layer(index)).collect::<Result<_, _>>()?,
            depth: config.num_hidden_layers,
            activation: config.activation().map_err(NetworkError::Weights)?,
            heads: unsigned(config.num_attention_heads),
            narrow: unsigned(narrow),
            hidden: unsigned(hidden),
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
            let near = self.distances.as_ref().map(Distances::nearness).transpose()?;
            for layer in self.layers.iter().cycle().take(self.depth) {
                self.run(layer, lengths, near, &mut buffers);
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
            let begin = unsigned(id) * self.narrow;
            debug_assert!(begin < table.len(), "ids are checked before");
            begin..begin + self.narrow
        };
        let all = 0..range.len();
        let rows = buffers.narrow.as_mut().unwrap_or(&mut buffers.hidden);
        for (row, at) in range.enumerate() {
            let parts = words[entry(words, ids.words[at])].iter().zip(&positions[entry(positions, ids.positions[at])]);
            let out = rows.row_mut(row);
            for (value, (word, position)) in out.iter_mut().zip(parts) {
                *value = word + position;
            }
            if let Some(types) = types {
                for (value, kind) in out.iter_mut().zip(&types[entry(types, ids.types[at])]) {
                    *value += kind;
                }
            }
        }
        self.norm.apply(self.simd, rows, all.clone());
        if let (Some(project), Some(narrow)) = (&self.project, &buffers.narrow) {
            let out = &mut buffers.hidden.part_mut(all.clone());
            project.multiply(narrow.part(all), Activation::None, None, &mut buffers.scratch, out);
        }
        Ok(())
    }

    /// One layer, on the first tokens of the buffers, which are texts of the given lengths.
    fn run(&self, layer: &Layer, lengths: &[usize], near: Option<Nearness<'_>>, buffers: &mut Buffers) {
        let Buffers { hidden, mixed, attended, halfway, wide, scratch, .. } = buffers;
        let count = lengths.iter().sum();
        for block in blocks(count) {
            let out = &mut mixed.part_mut(block.clone());
            layer.attend.multiply(hidden.part(block), Activation::None, None, scratch, out);
        }
        let mut begin = 0;
        for length in lengths {
            let text = begin..begin + length;
            begin = text.end;
            self.simd.attend(mixed.part(text.clone()), self.heads, near, scratch, &mut attended.part_mut(text));
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
            narrow: network.project.as_ref().map(|_| simd.rows(count, network.narrow)),
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
