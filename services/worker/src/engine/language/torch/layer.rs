//! One layer of a decoder.

use tch::{Kind, TchError, Tensor};

use super::{
    attention::{Scores, Sight},
    int,
    weights::{Linear, Norm, Place},
};
use crate::engine::{
    kernels::{Activation, TOKENS_OF_BLOCK},
    language::{
        plan::{NormKind, Plan},
        read,
    },
};

/// A layer's weights and its cache.
#[derive(Debug)]
pub(super) struct Layer {
    scores: Scores,
    activation: Activation,
    /// Which of the step's sights.
    sight: usize,
    rotary: Option<usize>,
    attention_norm: Norm,
    mix: Linear,
    head_norm: Option<HeadNorm>,
    attended: Linear,
    attended_norm: Option<Norm>,
    feed_norm: Norm,
    /// The gate first, where there is one.
    widen: Linear,
    gated: bool,
    narrow: Linear,
    narrow_norm: Option<Norm>,
    /// [blocks, tokens of a block, heads of keys, size of a head], as `values`.
    keys: Tensor,
    values: Tensor,
}

/// The norm of queries and of keys, by the root of the mean square.
#[derive(Debug)]
struct HeadNorm {
    /// [heads of queries, then of keys; size of a head]
    weight: Tensor,
    epsilon: f64,
}

/// What the layers share of a step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// For each row, where its key and value go.
    pub(super) slots: Tensor,
    /// For each rotary: cosines and sines, [rows, 1, values that turn].
    pub(super) turns: Vec<(Tensor, Tensor)>,
    /// For each window.
    pub(super) sights: Vec<Vec<Sight>>,
}

impl Layer {
    pub(super) fn new(place: Place, plan: &Plan, number: usize, sight: usize, layer: read::Layer, blocks: usize) -> Result<Self, TchError> {
        let norm = |norm: &read::Norm| place.norm(norm, plan.norm);
        let cache = || {
            let shape = [blocks, TOKENS_OF_BLOCK, plan.kv_heads, plan.head].map(int);
            Tensor::f_zeros(shape, (place.kind, place.device))
        };
        let gated = layer.gate.is_some();
        let widen = match layer.gate {
            Some(mut gate) => {
                gate.weight.extend(layer.widen.weight);
                gate.bias.extend(layer.widen.bias);
                gate
            }
            None => layer.widen,
        };
        Ok(Self {
            scores: Scores {
                heads: int(plan.heads),
                kv_heads: int(plan.kv_heads),
                size: int(plan.head),
                scale: plan.attention_scale,
                cap: plan.attention_cap,
            },
            activation: plan.activation,
            sight,
            rotary: plan.layers[number].rotary,
            attention_norm: norm(&layer.attention_norm)?,
            mix: place.linear(&layer.mix)?,
            head_norm: HeadNorm::new(place, plan, layer.query_norm.zip(layer.key_norm))?,
            attended: place.linear(&layer.attended)?,
            attended_norm: layer.attended_norm.as_ref().map(norm).transpose()?,
            feed_norm: norm(&layer.feed_norm)?,
            widen: place.linear(&widen)?,
            gated,
            narrow: place.linear(&layer.narrow)?,
            narrow_norm: layer.narrow_norm.as_ref().map(norm).transpose()?,
            keys: cache()?,
            values: cache()?,
        })
    }

    /// Takes all rows of the step through the layer; `hidden` is in single precision.
    pub(super) fn forward(&self, step: &Step, hidden: &mut Tensor) -> Result<(), TchError> {
        let mixed = self.mix.forward(&self.attention_norm.forward(hidden)?.f_to_kind(step.kind)?)?;
        let attended = self.attended.forward(&self.attend(step, &mixed)?)?;
        add(hidden, attended, self.attended_norm.as_ref())?;
        let wide = self.widen.forward(&self.feed_norm.forward(hidden)?.f_to_kind(step.kind)?)?;
        let wide = if self.gated {
            let [gate, wide] = halves(&wide)?;
            self.activation.apply(gate)?.f_mul_(&wide)?
        } else {
            self.activation.apply(wide)?
        };
        add(hidden, self.narrow.forward(&wide)?, self.narrow_norm.as_ref())
    }

    /// Queries, keys and values of all rows → what they attend to, [rows, heads × size]. Keys and values are kept.
    fn attend(&self, step: &Step, mixed: &Tensor) -> Result<Tensor, TchError> {
        let Scores { heads, kv_heads, size, .. } = self.scores;
        let parts = mixed.f_view([-1, heads + 2 * kv_heads, size])?;
        let turned = self.turn(step, &parts.f_narrow(1, 0, heads + kv_heads)?)?;
        self.keep(step, &self.keys, turned.f_narrow(1, heads, kv_heads)?)?;
        self.keep(step, &self.values, parts.f_narrow(1, heads + kv_heads, kv_heads)?)?;
        let queries = turned.f_narrow(1, 0, heads)?;
        let attend = |sight: &Sight| sight.attend(self.scores, &queries, &self.keys, &self.values);
        let mut attended = step.sights[self.sight].iter().map(attend).collect::<Result<Vec<_>, _>>()?;
        match attended.len() {
            1 => Ok(attended.swap_remove(0)),
            _ => Tensor::f_cat(&attended, 0),
        }
    }

    /// Normalises and turns queries and keys, [rows, heads, size], in single precision. What it is given may change.
    fn turn(&self, step: &Step, heads: &Tensor) -> Result<Tensor, TchError> {
        let mut turned = heads.f_to_kind(Kind::Float)?;
        if let Some(norm) = &self.head_norm {
            turned = norm.forward(&turned)?;
        }
        if let Some((cosines, sines)) = self.rotary.map(|rotary| &step.turns[rotary]) {
            let turning = *cosines.size().last().unwrap_or(&0);
            let mut part = turned.f_narrow(2, 0, turning)?;
            let other_halves = part.f_roll([turning / 2], [2])?;
            drop(part.f_mul_(cosines)?.f_addcmul_(&other_halves, sines)?);
        }
        turned.f_to_kind(step.kind)
    }

    /// Writes rows, [rows, heads of keys, size], to their slots. What is no number becomes zero: another sequence has the block later, and reads all of it,
    /// if only to multiply it by zero.
    fn keep(&self, step: &Step, cache: &Tensor, mut rows: Tensor) -> Result<(), TchError> {
        let rows = rows.f_nan_to_num_(0.0, 0.0, 0.0)?;
        let Scores { kv_heads, size, .. } = self.scores;
        cache.f_view([-1, kv_heads, size])?.f_index_copy_(0, &step.slots, &rows).map(drop)
    }
}

impl HeadNorm {
    /// Of queries and of keys.
    fn new(place: Place, plan: &Plan, norms: Option<(read::Norm, read::Norm)>) -> Result<Option<Self>, TchError> {
        let Some((queries, keys)) = norms else { return Ok(None) };
        let (NormKind::Root { epsilon, .. } | NormKind::Layer { epsilon }) = plan.norm;
        let rows = std::iter::repeat_n(&queries.weight, plan.heads).chain(std::iter::repeat_n(&keys.weight, plan.kv_heads));
        let weight = rows.flatten().copied().collect::<Vec<f32>>();
        let shape = [int(plan.heads + plan.kv_heads), int(plan.head)];
        Ok(Some(Self { weight: place.upload_exactly(&weight, &shape)?, epsilon }))
    }

    fn forward(&self, heads: &Tensor) -> Result<Tensor, TchError> {
        let size = *self.weight.size().last().unwrap_or(&0);
        heads.f_rms_norm([size], None::<&Tensor>, self.epsilon)?.f_mul_(&self.weight)
    }
}

/// A half of a layer comes to its end: what it gives is added, normalised first where there is a norm.
fn add(hidden: &mut Tensor, given: Tensor, norm: Option<&Norm>) -> Result<(), TchError> {
    let given = match norm {
        Some(norm) => norm.forward(&given.f_to_kind(Kind::Float)?)?,
        None => given,
    };
    hidden.f_add_(&given).map(drop)
}

/// The left columns and the right ones.
fn halves(rows: &Tensor) -> Result<[Tensor; 2], TchError> {
    let width = rows.size().last().unwrap_or(&0) / 2;
    Ok([rows.f_narrow(1, 0, width)?, rows.f_narrow(1, width, width)?])
}
