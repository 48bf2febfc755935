//! A decoder on a CPU, by our own kernels.
//!
//! All tokens of a step, of whatever sequences, are rows of one matrix: a weight is read from memory once for all of them. The threads of a step share a
//! product by its columns, and attention by sequences and heads.

mod cache;
mod layer;
mod norm;

use parking_lot::Mutex;
use torchmesh_generation::{Decoder, DecoderError, DecoderFacts, Logits, Span, Wants};
use torchmesh_weights::PublishedModel;

use self::{
    cache::Cache,
    layer::{Layer, Step, Work},
    norm::Norm,
};
use super::{LanguageError, LanguageSpec, fit, plan::Plan, read::Reader};
use crate::engine::{
    Dtype,
    kernels::{Activation, Lines, Rows, Sequence, Simd, TOKENS_OF_BLOCK, Team, Weight},
};

/// What weights are held in.
#[derive(Clone, Copy, Debug)]
enum Packing {
    Single,
    /// `BF16`, where this processor multiplies that, and single precision where not.
    Brief,
    Bytes,
    Nibbles,
}

impl Packing {
    /// What embeddings and logits are made of: a few bits less tell in every token.
    fn outside(self) -> Self {
        if matches!(self, Self::Nibbles) { Self::Bytes } else { self }
    }

    fn pack(self, simd: Simd, weight: &[f32], bias: &[f32]) -> Weight {
        match self {
            Self::Nibbles => simd.pack_nibbles(weight, bias),
            Self::Bytes => simd.pack_bytes(weight, bias),
            Self::Brief => simd.pack(weight, bias, true),
            Self::Single => simd.pack(weight, bias, false),
        }
    }
}

/// A loaded language model.
pub(super) struct CpuDecoder {
    simd: Simd,
    plan: Plan,
    facts: DecoderFacts,
    embeddings: Weight,
    positions: Option<Vec<f32>>,
    layers: Vec<Layer>,
    last_norm: Norm,
    /// Absent: the embeddings.
    head: Option<Weight>,
    team: Team,
    scratch: Vec<Mutex<Lines>>,
    work: Work,
    wanted: Rows,
    logits: Rows,
}

impl CpuDecoder {
    /// Bytes of a block of the cache.
    pub(super) fn block_bytes(plan: &Plan) -> usize {
        Cache::block_bytes(Simd::best(), plan.kv_heads, plan.head) * plan.layers.len()
    }

    /// Packs the weights, layer by layer, so that only one of them is in memory twice.
    pub(super) fn new(model: &dyn PublishedModel, plan: Plan, spec: &LanguageSpec) -> Result<Self, LanguageError> {
        let simd = Simd::best();
        let reader = Reader::new(model, &plan)?;
        let packing = match spec.dtype {
            Dtype::Int4 => Packing::Nibbles,
            Dtype::Int8 => Packing::Bytes,
            Dtype::Bf16 => Packing::Brief,
            Dtype::Auto if reader.is_published_in_half()? => Packing::Brief,
            Dtype::Auto | Dtype::Fp32 | Dtype::Fp16 => Packing::Single,
        };
        let facts = facts(&plan, spec);
        let zeros = vec![0.0; plan.vocabulary];
        let embeddings = packing.outside().pack(simd, &reader.embeddings()?, &zeros);
        let positions = reader.positions()?;
        let head = reader.head()?.map(|head| packing.outside().pack(simd, &head.weight, &head.bias));
        let last_norm = Norm::new(&reader.last_norm()?, plan.norm);
        let layer = |number| Ok(Layer::new(simd, &plan, number, &reader.layer(number)?, packing, facts.blocks));
        let layers = (0..plan.layers.len()).map(layer).collect::<Result<_, LanguageError>>()?;
        let team = Team::new(spec.threads);
        let scratch = (0..team.members()).map(|_| Mutex::default()).collect();
        let (work, wanted, logits) = (Work::new(simd, 1, &plan), simd.rows(1, plan.hidden), simd.rows(1, plan.vocabulary));
        tracing::info!(kernels = simd.name, ?packing, threads = team.members(), blocks = facts.blocks, "a language model is packed");
        Ok(Self { simd, plan, facts, embeddings, positions, layers, last_norm, head, team, scratch, work, wanted, logits })
    }

    fn embed(&mut self, spans: &[Span<'_>]) {
        let scale = self.plan.embedding_scale as f32;
        let mut row = 0;
        for span in spans {
            for (&token, position) in span.tokens.iter().zip(span.cached..) {
                let values = self.work.hidden.row_mut(row);
                self.embeddings.column(token as usize, values);
                for value in values.iter_mut() {
                    *value *= scale;
                }
                if let Some(positions) = &self.positions {
                    let learned = &positions[position * self.plan.hidden..][..self.plan.hidden];
                    values.iter_mut().zip(learned).for_each(|(value, learned)| *value += learned);
                }
                row += 1;
            }
        }
    }

    /// Cosines and sines of every token, for each rotary.
    fn turns(&self, spans: &[Span<'_>], count: usize) -> Vec<(Vec<f32>, Vec<f32>)> {
        let of_rotary = |rotary: &super::rotary::Rotary| {
            let pairs = rotary.frequencies.len();
            let (mut cosines, mut sines) = (vec![0.0; count * pairs], vec![0.0; count * pairs]);
            let positions = spans.iter().flat_map(|span| span.cached..span.cached + span.tokens.len());
            for ((position, cosines), sines) in positions.zip(cosines.chunks_exact_mut(pairs)).zip(sines.chunks_exact_mut(pairs)) {
                rotary.at(position, cosines, sines);
            }
            (cosines, sines)
        };
        self.plan.rotaries.iter().map(of_rotary).collect()
    }

    /// The logits of the rows that are wanted.
    fn answer(&mut self, spans: &[Span<'_>]) -> Logits {
        let mut wanted = Vec::new();
        let mut row = 0;
        for span in spans {
            let end = row + span.tokens.len();
            match span.wants {
                Wants::Nothing => {}
                // This one does not choose.
                Wants::Last | Wants::Likeliest(_) => wanted.push(end - 1),
                Wants::Every => wanted.extend(row..end),
            }
            row = end;
        }
        if self.wanted.count() < wanted.len() {
            self.wanted = self.simd.rows(wanted.len(), self.plan.hidden);
            self.logits = self.simd.rows(wanted.len(), self.plan.vocabulary);
        }
        for (to, &from) in wanted.iter().enumerate() {
            self.wanted.row_mut(to).copy_from_slice(self.work.hidden.row(from));
        }
        let count = wanted.len();
        self.last_norm.apply(self.simd, &self.wanted, 0..count, &mut self.work.normed);
        let head = self.head.as_ref().unwrap_or(&self.embeddings);
        let mut step = Step { simd: self.simd, team: &mut self.team, scratch: &self.scratch, plan: &self.plan, spans, count, turns: &[] };
        step.multiply(head, &self.work.normed, Activation::None, None, &mut self.logits);
        let mut values = Vec::with_capacity(count * self.plan.vocabulary);
        (0..count).for_each(|row| values.extend_from_slice(self.logits.row(row)));
        if let Some(cap) = self.plan.logits_cap.map(|cap| cap as f32) {
            for value in &mut values {
                *value = (*value / cap).tanh() * cap;
            }
        }
        Logits { values, likeliest: Vec::new() }
    }
}

impl Decoder for CpuDecoder {
    fn facts(&self) -> &DecoderFacts {
        &self.facts
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Logits, DecoderError> {
        fit::check(&self.facts, spans)?;
        let count = spans.iter().map(|span| span.tokens.len()).sum();
        if count == 0 {
            return Ok(Logits::default());
        }
        if self.work.hidden.count() < count {
            self.work = Work::new(self.simd, count, &self.plan);
        }
        self.embed(spans);
        let turns = self.turns(spans, count);
        let mut step =
            Step { simd: self.simd, team: &mut self.team, scratch: &self.scratch, plan: &self.plan, spans, count, turns: &turns };
        for layer in &mut self.layers {
            layer.forward(&mut step, &mut self.work);
        }
        Ok(self.answer(spans))
    }
}

/// How much the cache holds: as many blocks as there is memory for.
fn facts(plan: &Plan, spec: &LanguageSpec) -> DecoderFacts {
    let block_bytes = CpuDecoder::block_bytes(plan);
    let blocks = (spec.cache_bytes / block_bytes).clamp(1, 1 << 24);
    DecoderFacts {
        vocabulary: plan.vocabulary,
        max_tokens: plan.context.min(spec.max_tokens),
        block_tokens: TOKENS_OF_BLOCK,
        blocks,
        block_bytes,
        // The logits lie here anyway.
        chooses: false,
    }
}
