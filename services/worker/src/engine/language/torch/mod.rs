//! A decoder by libtorch's own operators: what runs on a GPU. The CPU has kernels of its own ([`super::cpu`]); this one runs there too, which is how it is
//! tested.
//!
//! All tokens of a step are rows of one matrix. Weights, keys and values are held in the model's number format; what goes from layer to layer, norms,
//! positions and the softmax are in single precision. One tensor of numbers goes to the device at the beginning of a step, and the logits that are wanted
//! come back at its end.
//!
//! On a GPU, what lies between the matrix products runs in kernels of our own ([`fused`]), and a step in which every sequence has one token is done from a
//! record ([`recorded`]): the processor would need longer to send such a step off, launch by launch, than the GPU to do it. A lone row's products are ours
//! too, where that is faster. All work goes to a stream of the decoder's own, since the default one cannot be recorded.
//!
//! Where a kernel of ours does not find its way through the cache, attention gathers the blocks of some sequences side by side and runs one kernel over them:
//! once for all sequences of similar lengths that have one row in the step, and once for each sequence that has more. Layers with a window gather only the
//! blocks that it reaches.
//!
//! # What a step costs in launches
//!
//! A layer like Llama's: 9, of which 4 are products; of a step of one row 6. Where nothing is fused 21, and 3 for each group of sequences that attends;
//! normalised queries and keys add 2, norms behind the halves 2 each.

mod answer;
mod attention;
mod fused;
mod hidden;
mod layer;
pub(super) mod packing;
mod recorded;
mod weights;

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};
use torchmesh_generation::{Decoder, DecoderError, DecoderFacts, Logits, Span, Wants};
use torchmesh_weights::PublishedModel;

use self::{
    attention::{Scores, Sight},
    fused::Fused,
    hidden::Hidden,
    layer::{Layer, Paged, Step},
    packing::{Limits, Packing},
    recorded::{Recorded, Rows},
    weights::{Linear, Norm, Place, kind_of},
};
use super::{LanguageError, LanguageSpec, fit, plan::Plan, read::Reader, rotary::Rotary};
use crate::engine::{Dtype, EngineError, cuda::Stream, kernels::TOKENS_OF_BLOCK, tensors};

/// Bytes of one layer's keys and values that are gathered at once, while one sequence does not have more.
const GATHERED_BYTES: usize = 512 << 20;

/// Elements of a mask, or of the scores of all heads where they are written down.
const MASKED: usize = 1 << 26;

/// What CUDA says when nothing more can be done on the GPU by this process.
const FATAL: [&str; 6] = [
    "device-side assert",
    "illegal memory access",
    "misaligned address",
    "illegal instruction",
    "unspecified launch failure",
    "uncorrectable ECC error",
];

/// A loaded language model.
#[derive(Debug)]
pub(super) struct TorchDecoder {
    /// In front of everything that it works with.
    recorded: Option<Recorded>,
    plan: Plan,
    facts: DecoderFacts,
    place: Place,
    threads: i32,
    /// Windows that layers have, each once.
    windows: Vec<Option<usize>>,
    /// How much attends together.
    pub(super) limits: Limits,
    /// [vocabulary, hidden]
    embeddings: Tensor,
    /// [context, hidden]
    positions: Option<Tensor>,
    rotaries: Vec<Turning>,
    layers: Vec<Layer>,
    last_norm: Norm,
    head: Linear,
    /// 0, 1, 2, … on the device.
    columns: Tensor,
    fused: Option<Fused>,
    /// Of a GPU.
    stream: Option<Stream>,
}

/// A rotary on the device.
#[derive(Debug)]
struct Turning {
    /// [values that turn]: for value i and its partner, the angle between two neighbouring positions.
    frequencies: Tensor,
    factor: f64,
    /// [values that turn]: what sines are multiplied by: the first of two partners takes the other's value away.
    signs: Tensor,
}

impl TorchDecoder {
    /// Uploads the weights, layer by layer, each with its cache, so that memory that is not there is missed here and not in a step.
    pub(super) fn new(model: &dyn PublishedModel, plan: Plan, spec: &LanguageSpec, device: Device) -> Result<Self, LanguageError> {
        let threads = i32::try_from(spec.threads).unwrap_or(i32::MAX).max(1);
        tensors::use_threads(threads);
        let _no_grad = tch::no_grad_guard();
        let reader = Reader::new(model, &plan)?;
        let kind = kind_for(&reader, spec.dtype)?;
        let place = Place { kind, device };
        let reader = reader.into(place);
        let facts = facts(&plan, spec, kind);
        let mut windows: Vec<Option<usize>> = Vec::new();
        let mut layers = Vec::with_capacity(plan.layers.len());
        for (number, layer) in plan.layers.iter().enumerate() {
            let sight = windows.iter().position(|window| *window == layer.window).unwrap_or_else(|| {
                windows.push(layer.window);
                windows.len() - 1
            });
            layers.push(Layer::new(place, &plan, number, sight, reader.layer(number)?, facts.blocks)?);
        }
        let table = |values: Tensor| values.f_view([-1, int(plan.hidden)]);
        let embeddings = table(reader.embeddings()?)?;
        let positions = reader.positions()?.map(table).transpose()?;
        let rotaries = plan.rotaries.iter().map(|rotary| Turning::new(place, rotary)).collect::<Result<_, _>>()?;
        let last_norm = place.norm(&reader.last_norm()?, plan.norm)?;
        let head = match reader.head()? {
            Some(head) => place.linear(&head)?,
            None => Linear { weight: embeddings.shallow_clone(), bias: None },
        };
        let columns = Tensor::f_arange(int(facts.max_tokens + TOKENS_OF_BLOCK), (Kind::Int64, device))?;
        let limits = limits(&plan, &facts, device);
        let fused = Fused::new(&plan, place);
        let stream = if let Device::Cuda(index) = device { own_stream(index) } else { None };
        tracing::info!(?device, ?kind, blocks = facts.blocks, fused = fused.is_some(), "a language model is on its device");
        let recorded = None;
        let decoder = Self {
            recorded,
            plan,
            facts,
            place,
            threads,
            windows,
            limits,
            embeddings,
            positions,
            rotaries,
            layers,
            last_norm,
            head,
            columns,
            fused,
            stream,
        };
        decoder.with_records()
    }

    /// Bytes of a block of the cache.
    pub(super) fn block_bytes(model: &dyn PublishedModel, plan: &Plan, dtype: Dtype) -> Result<usize, LanguageError> {
        Ok(block_bytes(plan, kind_for(&Reader::new(model, plan)?, dtype)?))
    }

    /// Records the steps of one token a sequence, where that can be done.
    fn with_records(mut self) -> Result<Self, LanguageError> {
        let Some(stream) = &self.stream else { return Ok(self) };
        // The weights went over on another stream.
        stream.wait_for_the_present_one()?;
        if self.fused.is_none() {
            return Ok(self);
        }
        let entered = stream.enter()?;
        let step = |rows: &Rows, logits: &Tensor, way| self.run_rows(rows, logits, way == 1);
        let by_one = self.fused.as_ref().is_some_and(Fused::has_products) && self.layers.iter().all(Layer::goes_by_one);
        let size = recorded::Size { vocabulary: self.plan.vocabulary, blocks: self.facts.blocks, ways: if by_one { 2 } else { 1 } };
        let recorded = Recorded::new(self.place, stream, size, step);
        drop(entered);
        self.recorded = recorded
            .inspect_err(|error| {
                tracing::warn!(error = error.to_string(), "steps could not be recorded; each is sent off launch by launch");
            })
            .ok();
        Ok(self)
    }

    /// [wanted rows, vocabulary] in single precision, in the spans' order; `None` where none is wanted.
    fn run(&self, packing: &Packing) -> Result<Option<Tensor>, TchError> {
        let numbers = Tensor::f_from_slice(&packing.numbers)?.f_to(self.place.device)?;
        let part = |range: &Range<usize>| numbers.f_narrow(0, int(range.start), int(range.len()));
        let positions = part(&packing.positions)?;
        let sight = |piece| Sight::new(piece, &numbers, &self.columns, self.place.kind);
        let sights = packing.pieces.iter().map(|pieces| pieces.iter().map(sight).collect()).collect::<Result<_, _>>()?;
        let paged = packing.paged.as_ref().map(|paged| {
            let positions = positions.f_narrow(0, 0, int(paged.rows))?;
            Ok::<_, TchError>(Paged { rows: paged.rows, table: part(&paged.table)?, begins: part(&paged.begins)?, positions })
        });
        let step = self.step_of(part(&packing.slots)?, &positions, paged.transpose()?, sights)?;
        let mut hidden = self.hidden(&part(&packing.tokens)?, &positions)?;
        for layer in &self.layers {
            layer.forward(&step, &mut hidden)?;
        }
        if packing.wanted.is_empty() {
            return Ok(None);
        }
        let normed = hidden.normed(&self.last_norm)?;
        self.capped(self.head.forward(&normed.f_index_select(0, &part(&packing.wanted)?)?)?.f_to_kind(Kind::Float)?).map(Some)
    }

    /// A step of rows that are each the last of a sequence; `by_one`: of a lone one, with products of our own. Nothing in it waits for the GPU.
    fn run_rows(&self, rows: &Rows, logits: &Tensor, by_one: bool) -> Result<(), TchError> {
        let paged = Paged {
            rows: rows.paged.rows,
            table: rows.paged.table.shallow_clone(),
            begins: rows.paged.begins.shallow_clone(),
            positions: rows.paged.positions.shallow_clone(),
        };
        // A row that is none has a position in front of the first.
        let positions = rows.positions.f_clamp_min(0)?;
        let sights = self.windows.iter().map(|_| Vec::new()).collect();
        let step = self.step_of(rows.slots.shallow_clone(), &positions, Some(paged), sights)?;
        let mut hidden = self.hidden(&rows.tokens, &positions)?;
        if let (Some(fused), true) = (&self.fused, by_one) {
            for layer in &self.layers {
                layer.forward_one(fused, &step, &hidden.values)?;
            }
            fused.norm_head(&hidden.values, &self.last_norm, &self.head, logits)?;
            return self.capped(logits.shallow_clone()).map(drop);
        }
        for layer in &self.layers {
            layer.forward(&step, &mut hidden)?;
        }
        let given = self.head.forward(&hidden.normed(&self.last_norm)?)?;
        logits.shallow_clone().f_copy_(&given)?;
        self.capped(logits.shallow_clone()).map(drop)
    }

    fn step_of(&self, slots: Tensor, positions: &Tensor, paged: Option<Paged>, sights: Vec<Vec<Sight>>) -> Result<Step<'_>, TchError> {
        let places = positions.f_to_kind(Kind::Float)?.f_view([-1, 1])?;
        let turns = self.rotaries.iter().map(|rotary| rotary.at(&places)).collect::<Result<_, _>>()?;
        Ok(Step { kind: self.place.kind, fused: self.fused.as_ref(), slots, turns, paged, sights })
    }

    fn hidden(&self, tokens: &Tensor, positions: &Tensor) -> Result<Hidden<'_>, TchError> {
        Ok(Hidden::new(self.embed(tokens, positions)?, self.place.kind, self.fused.as_ref()))
    }

    /// [rows, hidden] in single precision.
    fn embed(&self, tokens: &Tensor, positions: &Tensor) -> Result<Tensor, TchError> {
        let mut hidden = self.embeddings.f_index_select(0, tokens)?.f_to_kind(Kind::Float)?;
        if (self.plan.embedding_scale - 1.0).abs() > f64::EPSILON {
            hidden = hidden.f_mul_scalar_(self.plan.embedding_scale)?;
        }
        match &self.positions {
            Some(learned) => hidden.f_add_(&learned.f_index_select(0, positions)?),
            None => Ok(hidden),
        }
    }

    /// Logits, held where the model holds them.
    fn capped(&self, mut logits: Tensor) -> Result<Tensor, TchError> {
        match self.plan.logits_cap {
            Some(cap) => logits.f_div_scalar_(cap)?.f_tanh_()?.f_mul_scalar_(cap),
            None => Ok(logits),
        }
    }

    fn answer(&mut self, spans: &[Span<'_>]) -> Result<Logits, TchError> {
        if let Some(recorded) = &self.recorded
            && recorded.step(spans)?
        {
            // The next step's inputs go where the device may still read this one's.
            if let (Some(stream), true) = (&self.stream, spans.iter().all(|span| span.wants == Wants::Nothing)) {
                stream.wait_for_the_present_one()?;
            }
            return answer::answer_of_rows(spans, &recorded.logits, self.fused.as_ref());
        }
        let logits = self.run(&Packing::new(spans, &self.windows, self.limits, self.fused.is_some()))?;
        answer::answer(spans, logits.as_ref(), self.fused.as_ref())
    }
}

impl Decoder for TorchDecoder {
    fn facts(&self) -> &DecoderFacts {
        &self.facts
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Logits, DecoderError> {
        fit::check(&self.facts, spans)?;
        if spans.is_empty() {
            return Ok(Logits::default());
        }
        tensors::use_threads(self.threads);
        let _no_grad = tch::no_grad_guard();
        let entered = self.stream.as_ref().map(Stream::enter).transpose().map_err(|error| failure(tensors::text(error)))?;
        let answer = self.answer(spans).map_err(|error| failure(tensors::text(error)));
        drop(entered);
        answer
    }
}

impl Drop for TorchDecoder {
    /// Its memory may be another's at once, on another stream: what is under way here has to come to its end.
    fn drop(&mut self) {
        let Some(stream) = &self.stream else { return };
        let waited = stream.enter().and_then(|_entered| stream.wait_for_the_present_one());
        if let Err(error) = waited {
            tracing::error!(error = error.to_string(), "a language model did not come to its end on its device");
        }
    }
}

/// `None`: it works on the default one, and records nothing.
fn own_stream(device: usize) -> Option<Stream> {
    Stream::new(device).inspect_err(|error| tracing::warn!(error = error.to_string(), "no stream of its own for a language model")).ok()
}

impl Turning {
    fn new(place: Place, rotary: &Rotary) -> Result<Self, TchError> {
        let pairs = rotary.frequencies.len();
        let shape = [int(2 * pairs)];
        let signs: Vec<f32> = (0..2 * pairs).map(|value| if value < pairs { -1.0 } else { 1.0 }).collect();
        Ok(Self {
            frequencies: place.upload_exactly(&rotary.frequencies.repeat(2), &shape)?,
            factor: f64::from(rotary.factor),
            signs: place.upload_exactly(&signs, &shape)?.f_mul_scalar(f64::from(rotary.factor))?,
        })
    }

    /// Cosines and signed sines of positions [rows, 1], [rows, 1, values that turn] each.
    fn at(&self, positions: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let angles = positions.f_mul(&self.frequencies)?.f_unsqueeze(1)?;
        Ok((angles.f_cos()?.f_mul_scalar_(self.factor)?, angles.f_sin()?.f_mul_(&self.signs)?))
    }
}

/// A size as libtorch counts it; none is beyond that.
fn int(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// What a failed step is to its caller; what was said in full goes to the log.
fn failure(text: String) -> DecoderError {
    let fatal = FATAL.iter().any(|words| text.contains(words));
    tracing::error!(fatal, error = text, "a step of a language model failed");
    DecoderError { message: EngineError::forward(text).to_string(), fatal }
}

/// What weights and cache are held in: as asked for, or as the weights are published.
fn kind_for(reader: &Reader<'_>, dtype: Dtype) -> Result<Kind, LanguageError> {
    tensors::kind_of_weights(dtype).map_or_else(|| reader.element().map(kind_of), Ok)
}

fn block_bytes(plan: &Plan, kind: Kind) -> usize {
    2 * TOKENS_OF_BLOCK * plan.kv_heads * plan.head * kind.elt_size_in_bytes() * plan.layers.len()
}

/// How much the cache holds: as many blocks as there is memory for.
fn facts(plan: &Plan, spec: &LanguageSpec, kind: Kind) -> DecoderFacts {
    let block_bytes = block_bytes(plan, kind);
    DecoderFacts {
        vocabulary: plan.vocabulary,
        max_tokens: plan.context.min(spec.max_tokens),
        block_tokens: TOKENS_OF_BLOCK,
        blocks: (spec.cache_bytes / block_bytes).clamp(1, 1 << 24),
        block_bytes,
        chooses: true,
    }
}

fn limits(plan: &Plan, facts: &DecoderFacts, device: Device) -> Limits {
    let scores = Scores::of(plan);
    let fused = scores.are_fused(device);
    Limits {
        gathered: GATHERED_BYTES * plan.layers.len() / facts.block_bytes,
        masked: if fused { MASKED } else { MASKED / plan.heads },
        always_masked: !fused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_full_serves_on_and_one_that_has_lost_its_way_does_not() {
        let full = failure("CUDA out of memory. Tried to allocate 20.00 MiB.\nException raised from malloc".to_owned());
        assert_eq!((full.fatal, full.message.as_str()), (false, "the model ran out of memory"));
        let lost = failure("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`".to_owned());
        assert_eq!((lost.fatal, lost.message.as_str()), (true, "the model failed: CUDA error: device-side assert triggered"));
    }
}
