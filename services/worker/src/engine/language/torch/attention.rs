//! Attention to what is in the cache's blocks.

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};

use super::{int, packing::Piece};
use crate::engine::{kernels::TOKENS_OF_BLOCK, language::plan::Plan};

/// What is added to the scores of tokens that are not seen: it is finite, so that nothing that is multiplied by it becomes a NaN, and the lowest that half
/// precision holds, so that nothing is left of them beside a token that is seen.
const UNSEEN: f64 = -65504.0;

/// How scores are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    /// Values of a head.
    pub(super) size: i64,
    pub(super) scale: f64,
    pub(super) cap: Option<f64>,
}

/// A piece of a step on the device, which every layer with the same window goes by.
#[derive(Debug)]
pub(super) struct Sight {
    /// The first row, and how many.
    rows: (i64, i64),
    sequences: i64,
    /// Tokens of each sequence that are looked at, seen or not.
    length: i64,
    /// [sequences × blocks]
    table: Tensor,
    /// [sequences, 1, rows of one, length]; what is added to the scores. `None`: rows see those up to themselves.
    mask: Option<Tensor>,
}

impl Scores {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            heads: int(plan.heads),
            kv_heads: int(plan.kv_heads),
            size: int(plan.head),
            scale: plan.attention_scale,
            cap: plan.attention_cap,
        }
    }

    /// Whether libtorch has one kernel for all of it. On a GPU that one wants heads whose size is a multiple of 8.
    pub(super) fn are_fused(self, device: Device) -> bool {
        self.cap.is_none() && (device == Device::Cpu || self.size % 8 == 0)
    }

    /// [batch, heads, rows, size] of queries, [batch, heads, tokens, size] of keys and of values → as the queries.
    fn attend(self, queries: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
        let device = queries.device();
        if !self.are_fused(device) {
            return self.attend_step_by_step(queries, keys, values, mask);
        }
        let causal = mask.is_none();
        if device == Device::Cpu {
            return Tensor::f_scaled_dot_product_attention(queries, keys, values, mask, 0.0, causal, self.scale, false);
        }
        // By name: what libtorch would choose is cuDNN's on some GPUs, which makes a plan for every new shape, and every step has a new shape.
        let (attended, ..) =
            Tensor::f_internal_scaled_dot_product_efficient_attention(queries, keys, values, mask, false, 0.0, causal, self.scale)?;
        Ok(attended)
    }

    fn attend_step_by_step(self, queries: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
        let scores = queries.f_mul_scalar(self.scale)?.f_matmul(&keys.f_transpose(2, 3)?)?;
        let mut scores = scores.f_to_kind(Kind::Float)?;
        if let Some(cap) = self.cap {
            scores = scores.f_div_scalar_(cap)?.f_tanh_()?.f_mul_scalar_(cap)?;
        }
        if let Some(mask) = mask {
            scores = scores.f_add_(mask)?;
        }
        scores.f_softmax(-1, Kind::Float)?.f_to_kind(values.f_kind()?)?.f_matmul(values)
    }
}

impl Sight {
    /// `numbers` are the packing's, on the device, where `columns` counts up from 0, further than any sequence is long.
    pub(super) fn new(piece: &Piece, numbers: &Tensor, columns: &Tensor, kind: Kind) -> Result<Self, TchError> {
        let part = |range: &Range<usize>| numbers.f_narrow(0, int(range.start), int(range.len()));
        let (count, sequences) = (int(piece.rows.len()), int(piece.sequences));
        let gathered = int(piece.blocks * TOKENS_OF_BLOCK);
        let mask = |(from, to): &(Range<usize>, Range<usize>)| {
            let column = columns.f_narrow(0, 0, gathered)?;
            let mut unseen = column.f_lt_tensor(&part(from)?.f_view([count, 1])?)?;
            let unseen = unseen.f_logical_or_(&column.f_ge_tensor(&part(to)?.f_view([count, 1])?)?)?;
            let mask = Tensor::f_zeros([count, gathered], (kind, columns.device()))?.f_masked_fill_(&unseen, UNSEEN)?;
            mask.f_view([sequences, 1, count / sequences, gathered])
        };
        Ok(Self {
            rows: (int(piece.rows.start), count),
            sequences,
            length: if piece.seen.is_some() { gathered } else { count },
            table: part(&piece.table)?,
            mask: piece.seen.as_ref().map(mask).transpose()?,
        })
    }

    /// The rows of `queries` [rows of the step, heads, size] that are this piece's → [rows, heads × size]. `keys` and `values` are a layer's cache,
    /// [blocks, tokens of a block, heads of keys, size].
    ///
    /// Heads that share keys never have them copied: those of one row are rows of one product; those of a part of a prompt are a batch whose keys lie at
    /// one place.
    pub(super) fn attend(&self, scores: Scores, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor, TchError> {
        let Scores { heads, kv_heads, size, .. } = scores;
        let (begin, count) = self.rows;
        let group = heads / kv_heads;
        let gather = |cache: &Tensor| {
            let gathered = cache.f_index_select(0, &self.table)?.f_view([self.sequences, -1, kv_heads, size])?;
            gathered.f_narrow(1, 0, self.length)?.f_transpose(1, 2)
        };
        let (keys, values) = (gather(keys)?, gather(values)?);
        let queries = queries.f_narrow(0, begin, count)?.f_view([count, kv_heads, group, size])?;
        let mask = |shape: [i64; 4]| self.mask.as_ref().map(|mask| mask.f_expand(shape, false)).transpose();
        let attended = if self.sequences == count {
            scores.attend(&queries, &keys, &values, mask([count, kv_heads, group, self.length])?.as_ref())?
        } else {
            let turn = [2, 1, 0, 3];
            let shared = |cache: &Tensor| cache.f_expand([group, kv_heads, self.length, size], false);
            let mask = mask([group, kv_heads, count, self.length])?;
            scores.attend(&queries.f_permute(turn)?, &shared(&keys)?, &shared(&values)?, mask.as_ref())?.f_permute(turn)?
        };
        attended.f_reshape([count, heads * size])
    }
}
