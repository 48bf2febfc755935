//! A decoder by libtorch's own operators: what runs on a GPU. The CPU has kernels of its own ([`super::cpu`]); this one runs there too, which is how it is
//! tested.
//!
//! All tokens of a step are rows of one matrix. Weights, keys and values are held in the model's number format; what goes from layer to layer, norms,
//! positions and the softmax are in single precision. One tensor of numbers goes to the device at the beginning of a step, and the logits that are wanted
//! come back at its end.
//!
//! Attention gathers the blocks of some sequences side by side and runs one kernel over them: once for all sequences of similar lengths that have one row
//! in the step, and once for each sequence that has more. Layers with a window gather only the blocks that it reaches.
//!
//! # What a step costs in launches
//!
//! Of a layer like Llama's 21, and 3 for each group of sequences that attends: gather keys, gather values, attend; 1 more to put heads side by side, and
//! 1 to put groups one behind the other. Normalised queries and keys add 2, norms behind the halves 2 each. Before the layers there are about 10, and 5
//! for each group and window; behind them 6. A model of 32 layers comes to about 830, which the processor needs 3 to 5 ms to send off: that bounds a small
//! model with few sequences. A CUDA graph of the loop over the layers would take it away. It would be recorded for steps whose spans all have one token,
//! for a few counts of rows and of blocks, with `hidden` and everything that [`layer::Step`] holds at fixed places.

mod attention;
mod layer;
pub(super) mod packing;
mod weights;

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};
use torchmesh_generation::{Decoder, DecoderError, DecoderFacts, Logits, Span};
use torchmesh_weights::{Element, PublishedModel};

use self::{
    attention::{Scores, Sight},
    layer::{Layer, Step},
    packing::{Limits, Packing},
    weights::{Linear, Norm, Place},
};
use super::{LanguageError, LanguageSpec, fit, plan::Plan, read::Reader, rotary::Rotary};
use crate::engine::{EngineError, kernels::TOKENS_OF_BLOCK, tensors};

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
    /// Absent: the embeddings.
    head: Option<Linear>,
    /// 0, 1, 2, … on the device.
    columns: Tensor,
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
        let kind = tensors::kind_of_weights(spec.dtype).map_or_else(|| reader.element().map(kind_of), Ok)?;
        let place = Place { kind, device };
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
        let table = |values: &[f32]| place.upload(values, &[-1, int(plan.hidden)]);
        let embeddings = table(&reader.embeddings()?)?;
        let positions = reader.positions()?.map(|positions| table(&positions)).transpose()?;
        let rotaries = plan.rotaries.iter().map(|rotary| Turning::new(place, rotary)).collect::<Result<_, _>>()?;
        let last_norm = place.norm(&reader.last_norm()?, plan.norm)?;
        let head = reader.head()?.map(|head| place.linear(&head)).transpose()?;
        let columns = Tensor::f_arange(int(facts.max_tokens + TOKENS_OF_BLOCK), (Kind::Int64, device))?;
        let limits = limits(&plan, &facts, device);
        tracing::info!(?device, ?kind, blocks = facts.blocks, "a language model is on its device");
        Ok(Self { plan, facts, place, threads, windows, limits, embeddings, positions, rotaries, layers, last_norm, head, columns })
    }

    fn run(&self, packing: &Packing) -> Result<Logits, TchError> {
        let numbers = Tensor::f_from_slice(&packing.numbers)?.f_to(self.place.device)?;
        let part = |range: &Range<usize>| numbers.f_narrow(0, int(range.start), int(range.len()));
        let positions = part(&packing.positions)?;
        let places = positions.f_to_kind(Kind::Float)?.f_view([-1, 1])?;
        let sight = |piece| Sight::new(piece, &numbers, &self.columns, self.place.kind);
        let sights = packing.pieces.iter().map(|pieces| pieces.iter().map(sight).collect()).collect::<Result<_, _>>()?;
        let step = Step {
            kind: self.place.kind,
            slots: part(&packing.slots)?,
            turns: self.rotaries.iter().map(|rotary| rotary.at(&places)).collect::<Result<_, _>>()?,
            sights,
        };
        let mut hidden = self.embed(&part(&packing.tokens)?, &positions)?;
        for layer in &self.layers {
            layer.forward(&step, &mut hidden)?;
        }
        if packing.wanted.is_empty() {
            return Ok(Logits::default());
        }
        self.answer(&hidden.f_index_select(0, &part(&packing.wanted)?)?)
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

    fn answer(&self, hidden: &Tensor) -> Result<Logits, TchError> {
        let normed = self.last_norm.forward(hidden)?.f_to_kind(self.place.kind)?;
        let logits = match &self.head {
            Some(head) => head.forward(&normed)?,
            None => normed.f_linear(&self.embeddings, None::<&Tensor>)?,
        };
        let mut logits = logits.f_to_kind(Kind::Float)?;
        if let Some(cap) = self.plan.logits_cap {
            logits = logits.f_div_scalar_(cap)?.f_tanh_()?.f_mul_scalar_(cap)?;
        }
        let logits = logits.f_to(Device::Cpu)?.f_contiguous()?;
        Ok(Logits { values: tensors::values(&logits)?.to_vec() })
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
        self.run(&Packing::new(spans, &self.windows, self.limits)).map_err(|error| failure(tensors::text(error)))
    }
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

fn kind_of(element: Element) -> Kind {
    match element {
        Element::F32 => Kind::Float,
        Element::F16 => Kind::Half,
        Element::Bf16 => Kind::BFloat16,
    }
}

/// How much the cache holds: as many blocks as there is memory for.
fn facts(plan: &Plan, spec: &LanguageSpec, kind: Kind) -> DecoderFacts {
    let block_bytes = 2 * TOKENS_OF_BLOCK * plan.kv_heads * plan.head * kind.elt_size_in_bytes() * plan.layers.len();
    DecoderFacts {
        vocabulary: plan.vocabulary,
        max_tokens: plan.context.min(spec.max_tokens),
        block_tokens: TOKENS_OF_BLOCK,
        blocks: (spec.cache_bytes / block_bytes).clamp(1, 1 << 24),
        block_bytes,
    }
}

fn limits(plan: &Plan, facts: &DecoderFacts, device: Device) -> Limits {
    let scores = Scores {
        heads: int(plan.heads),
        kv_heads: int(plan.kv_heads),
        size: int(plan.head),
        scale: plan.attention_scale,
        cap: plan.attention_cap,
    };
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
