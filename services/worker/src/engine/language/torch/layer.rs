//! One layer of a decoder.

use tch::{Kind, TchError, Tensor};

use super::{
    attention::{Scores, Sight},
    fused::{Fused, Heads},
    hidden::Hidden,
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
    window: Option<usize>,
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
pub(super) struct HeadNorm {
    /// [heads of queries, then of keys; size of a head]
    pub(super) weight: Tensor,
    pub(super) epsilon: f64,
}

/// What the layers share of a step.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) kind: Kind,
    /// Absent: libtorch's operators do it all.
    pub(super) fused: Option<&'a Fused>,
    /// For each row, where its key and value go.
    pub(super) slots: Tensor,
    /// For each rotary: cosines and sines, [rows, 1, values that turn].
    pub(super) turns: Vec<(Tensor, Tensor)>,
    /// The first rows, where they attend by a kernel that finds its way through the cache itself.
    pub(super) paged: Option<Paged>,
    /// For each window, the rows behind them.
    pub(super) sights: Vec<Vec<Sight>>,
}

/// Rows of which each is the last of its sequence, on the device.
#[derive(Debug)]
pub(super) struct Paged {
    pub(super) rows: usize,
    /// The blocks of the sequences, each one's in order.
    pub(super) table: Tensor,
    /// For each row, where its blocks begin in the table.
    pub(super) begins: Tensor,
    /// For each row, its position; negative: it is none.
    pub(super) positions: Tensor,
}

impl Layer {
    pub(super) fn new(
        place: Place,
        plan: &Plan,
        number: usize,
        sight: usize,
        layer: read::Layer<Tensor>,
        blocks: usize,
    ) -> Result<Self, TchError> {
        let norm = |norm: &read::Norm| place.norm(norm, plan.norm);
        let cache = || {
            let shape = [blocks, TOKENS_OF_BLOCK, plan.kv_heads, plan.head].map(int);
            Tensor::f_zeros(shape, (place.kind, place.device))
        };
        let gated = layer.gate.is_some();
        let widen = match layer.gate {
            Some(mut gate) => {
                gate.weight = Tensor::f_cat(&[gate.weight, layer.widen.weight], 0)?;
                gate.bias.extend(layer.widen.bias);
                gate
            }
            None => layer.widen,
        };
        Ok(Self {
            scores: Scores::of(plan),
            activation: plan.activation,
            sight,
            window: plan.layers[number].window,
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

    /// Takes all rows of the step through the layer.
    pub(super) fn forward(&self, step: &Step<'_>, hidden: &mut Hidden<'_>) -> Result<(), TchError> {
        let mixed = self.mix.forward(&hidden.normed(&self.attention_norm)?)?;
        let attended = self.attended.forward(&self.attend(step, &mixed)?)?;
        hidden.add(attended, self.attended_norm.as_ref())?;
        let wide = self.widen.forward(&hidden.normed(&self.feed_norm)?)?;
        let wide = match step.fused {
            Some(fused) if self.gated => fused.gate(&wide)?,
            _ if self.gated => {
                let [gate, wide] = halves(&wide)?;
                self.activation.apply(gate)?.f_mul_(&wide)?
            }
            _ => self.activation.apply(wide)?,
        };
        hidden.add(self.narrow.forward(&wide)?, self.narrow_norm.as_ref())
    }

    /// Whether [`Self::forward_one`] does for this layer.
    pub(super) fn goes_by_one(&self) -> bool {
        self.attended_norm.is_none() && self.narrow_norm.is_none()
    }

    /// Takes the step's only row through the layer, [1, hidden] in single precision.
    pub(super) fn forward_one(&self, fused: &Fused, step: &Step<'_>, hidden: &Tensor) -> Result<(), TchError> {
        let mixed = fused.norm_mix(hidden, &self.attention_norm, &self.mix)?;
        let attended = self.attend(step, &mixed)?;
        fused.add_attended(&attended, &self.attended, hidden)?;
        let wide = fused.norm_widen(hidden, &self.feed_norm, &self.widen, self.gated)?;
        fused.add_narrow(&wide, &self.narrow, hidden)
    }

    /// Queries, keys and values of all rows → what they attend to, [rows, heads × size]. Keys and values are kept.
    fn attend(&self, step: &Step<'_>, mixed: &Tensor) -> Result<Tensor, TchError> {
        let Scores { heads, size, .. } = self.scores;
        let turn = self.rotary.map(|rotary| &step.turns[rotary]);
        let sights = &step.sights[self.sight];
        let mut attended = Vec::new();
        let queries = match step.fused {
            Some(fused) => {
                let own = Heads { turn, norm: self.head_norm.as_ref(), keys: &self.keys, values: &self.values };
                let paged = step.paged.as_ref();
                attended.extend(paged.map(|paged| fused.attend(mixed, paged, &own, self.window)).transpose()?);
                let first = paged.map_or(0, |paged| paged.rows);
                if sights.is_empty() { None } else { Some(fused.turn_and_keep(step, mixed, first, &own)?.f_view([-1, heads, size])?) }
            }
            None => Some(self.turn_and_keep(step, mixed, turn)?),
        };
        for (sight, queries) in sights.iter().zip(queries.iter().cycle()) {
            attended.push(sight.attend(self.scores, queries, &self.keys, &self.values)?);
        }
        match attended.len() {
            1 => Ok(attended.swap_remove(0)),
            _ => Tensor::f_cat(&attended, 0),
        }
    }

    /// The queries, [rows, heads, size].
    fn turn_and_keep(&self, step: &Step<'_>, mixed: &Tensor, turn: Option<&(Tensor, Tensor)>) -> Result<Tensor, TchError> {
        let Scores { heads, kv_heads, size, .. } = self.scores;
        let parts = mixed.f_view([-1, heads + 2 * kv_heads, size])?;
        let turned = self.turn(step, &parts.f_narrow(1, 0, heads + kv_heads)?, turn)?;
        self.keep(step, &self.keys, turned.f_narrow(1, heads, kv_heads)?)?;
        self.keep(step, &self.values, parts.f_narrow(1, heads + kv_heads, kv_heads)?)?;
        turned.f_narrow(1, 0, heads)
    }

    /// Normalises and turns queries and keys, [rows, heads, size], in single precision. What it is given may change.
    fn turn(&self, step: &Step<'_>, heads: &Tensor, turn: Option<&(Tensor, Tensor)>) -> Result<Tensor, TchError> {
        let mut turned = heads.f_to_kind(Kind::Float)?;
        if let Some(norm) = &self.head_norm {
            turned = norm.forward(&turned)?;
        }
        if let Some((cosines, sines)) = turn {
            let turning = *cosines.size().last().unwrap_or(&0);
            let mut part = turned.f_narrow(2, 0, turning)?;
            let other_halves = part.f_roll([turning / 2], [2])?;
            drop(part.f_mul_(cosines)?.f_addcmul_(&other_halves, sines)?);
        }
        turned.f_to_kind(step.kind)
    }

    /// Writes rows, [rows, heads of keys, size], to their slots. What is no number becomes zero: another sequence has the block later, and reads all of it,
    /// if only to multiply it by zero.
    fn keep(&self, step: &Step<'_>, cache: &Tensor, mut rows: Tensor) -> Result<(), TchError> {
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

/// The left columns and the right ones.
fn halves(rows: &Tensor) -> Result<[Tensor; 2], TchError> {
    let width = rows.size().last().unwrap_or(&0) / 2;
    Ok([rows.f_narrow(1, 0, width)?, rows.f_narrow(1, width, width)?])
}
