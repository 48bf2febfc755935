//! What lies between the matrix products, in kernels of our own (`kernels.cu`, `products.cu`), compiled for a model's sizes when it is loaded.
#![expect(unsafe_code, reason = "starts kernels, which believe the addresses and sizes they are given; each says why they hold")]

mod products;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};

use tch::{Device, Kind, TchError, Tensor};

use self::products::Products;
use super::{
    attention::Scores,
    int,
    layer::{HeadNorm, Paged, Step},
    weights::{Norm, Place},
};
use crate::engine::{
    cuda::{Argument, Function, Program},
    kernels::TOKENS_OF_BLOCK,
    language::plan::{NormKind, Plan},
};

const SOURCE: &str = concat!(include_str!("kernels.cu"), include_str!("products.cu"));

/// Threads of a block, as the source has them.
const NORM_THREADS: usize = 256;
const TILE: usize = 128;
const WARP: usize = 32;
const CHOICES: usize = 4096;

/// Parts that the tokens before one row are cut in at most.
const MOST_PARTS: usize = 16;

/// Bytes of shared memory that a block may have without being asked, and what our kernels need beside the rows that are counted.
const SHARED_BYTES: usize = 47 << 10;

/// The kernels of a model, on its device.
#[derive(Debug)]
pub(super) struct Fused {
    kernels: Kernels,
    products: Option<Products>,
    place: Place,
    scores: Scores,
    inner: usize,
    /// Blocks that fill the device twice.
    enough_blocks: usize,
    /// [rows × heads of keys]; zeros between launches.
    arrivals: Tensor,
    /// What the functions are in: behind everything that they may be started for.
    _program: Program,
}

/// What a layer does to queries and keys, and where it keeps keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads<'a> {
    /// Cosines and sines of the step's rows.
    pub(super) turn: Option<&'a (Tensor, Tensor)>,
    pub(super) norm: Option<&'a HeadNorm>,
    pub(super) keys: &'a Tensor,
    pub(super) values: &'a Tensor,
}

#[derive(Debug)]
struct Kernels {
    add_norm: Function,
    turn_and_keep: Function,
    attend: Function,
    gate: Function,
    choose: Function,
}

impl Fused {
    /// `None` where there is no GPU, or one for which they do not compile: libtorch's own operators do it all then.
    pub(super) fn new(plan: &Plan, place: Place) -> Option<Self> {
        let Device::Cuda(device) = place.device else { return None };
        if let Some(reason) = unfit(plan, place.kind) {
            tracing::info!(reason, "between products, this model runs on libtorch's kernels");
            return None;
        }
        let fused = Self::compile(plan, place, device);
        fused
            .inspect_err(|error| {
                tracing::warn!(error = error.to_string(), "the fused kernels did not compile; this model runs slower without them");
            })
            .ok()
    }

    fn compile(plan: &Plan, place: Place, device: usize) -> Result<Self, TchError> {
        let source = CString::new(SOURCE).map_err(|error| TchError::Torch(error.to_string()))?;
        let program = Program::compile(device, &source, &options(plan, place.kind))?;
        let function = |name: &CStr| program.function(name);
        let kernels = Kernels {
            add_norm: function(c"add_norm")?,
            turn_and_keep: function(c"turn_and_keep")?,
            attend: function(c"attend")?,
            gate: function(c"gate")?,
            choose: function(c"choose")?,
        };
        let products = products::fit(plan, place.kind).then(|| Products::new(&program));
        let enough_blocks = 2 * program.multiprocessors;
        Ok(Self {
            kernels,
            products: products.transpose()?,
            place,
            scores: Scores::of(plan),
            inner: plan.inner,
            enough_blocks,
            // Rows that are cut in parts are fewer than the blocks that are enough.
            arrivals: Tensor::f_zeros([int(enough_blocks)], (Kind::Int, place.device))?,
            _program: program,
        })
    }

    /// Whether one row's products are ours too.
    pub(super) fn has_products(&self) -> bool {
        self.products.is_some()
    }

    fn room(&self, shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_empty(shape, (self.place.kind, self.place.device))
    }

    /// hidden [rows, hidden] += given, and its norm.
    pub(super) fn add_norm(&self, hidden: &Tensor, given: Option<&Tensor>, norm: &Norm) -> Result<Tensor, TchError> {
        let normed = self.room(&hidden.size())?;
        let rows = rows_of(hidden);
        let [weight, bias, epsilon] = norm_arguments(norm);
        let arguments = [Argument::At(hidden), maybe(given), weight, bias, Argument::At(&normed), epsilon];
        // SAFETY: hidden and given are [rows, hidden], as the answer is, and the norm's weights [hidden].
        unsafe { self.kernels.add_norm.launch([rows, 1, 1], NORM_THREADS, &arguments) }?;
        Ok(normed)
    }

    /// mixed [rows, all heads × size] of the rows from `first` on: keys and values go to their slots; their queries, turned, [rows, heads × size].
    pub(super) fn turn_and_keep(&self, step: &Step<'_>, mixed: &Tensor, first: usize, head: &Heads<'_>) -> Result<Tensor, TchError> {
        let Scores { heads, kv_heads, size, .. } = self.scores;
        let rows = rows_of(mixed) - first;
        let rest = |tensor: &Tensor| tensor.f_narrow(0, int(first), int(rows));
        let (mixed, slots) = (rest(mixed)?, rest(&step.slots)?);
        let turn = head.turn.map(|(cosines, sines)| Ok::<_, TchError>((rest(cosines)?, rest(sines)?))).transpose()?;
        let queries = self.room(&[int(rows), heads * size])?;
        let mut arguments = vec![Argument::At(&mixed)];
        arguments.extend(turn_arguments(turn.as_ref(), head.norm));
        arguments.extend([&slots, &queries, head.keys, head.values].map(Argument::At));
        let all_heads = (heads + 2 * kv_heads) as usize;
        // SAFETY: mixed holds all heads of so many rows, cosines and sines [rows, turning], the norm [heads of queries and keys, size]; slots [rows] are of
        // the cache, or negative.
        unsafe { self.kernels.turn_and_keep.launch([rows, all_heads.div_ceil(TILE / WARP), 1], TILE, &arguments) }?;
        Ok(queries)
    }

    /// What the first rows attend to, each at its place in a sequence of its own, [rows, heads × size]; their keys and values are kept.
    pub(super) fn attend(&self, mixed: &Tensor, paged: &Paged, head: &Heads<'_>, window: Option<usize>) -> Result<Tensor, TchError> {
        let Scores { heads, kv_heads, size, scale, cap } = self.scores;
        let (rows, kv) = (paged.rows, kv_heads as usize);
        let parts = (self.enough_blocks / (rows * kv)).clamp(1, MOST_PARTS);
        let attended = self.room(&[int(rows), heads * size])?;
        let partial = Tensor::f_empty([int(rows) * heads * int(parts) * (size + 2)], (Kind::Float, self.place.device))?;
        let mut arguments = vec![Argument::At(mixed)];
        arguments.extend(turn_arguments(head.turn, head.norm));
        arguments.extend(
            [head.keys, head.values, &paged.table, &paged.begins, &paged.positions, &attended, &partial, &self.arrivals].map(Argument::At),
        );
        arguments.extend([
            Argument::Int(window.map_or(0, |window| i32::try_from(window).unwrap_or(i32::MAX))),
            Argument::Float(scale as f32),
            Argument::Float(cap.unwrap_or_default() as f32),
        ]);
        // SAFETY: mixed, cosines and sines, positions and begins are of so many rows at least; the table holds the blocks of each row from its begin up to its
        // position, all of them of the cache; of parts there are several only where rows × heads of keys × parts are at most the arrivals.
        unsafe { self.kernels.attend.launch([rows, kv, parts], TILE, &arguments) }?;
        Ok(attended)
    }

    /// The likeliest of the first `among` tokens by each row of logits [rows, vocabulary], `INT32` [rows]; -1 where no logit is a finite number.
    pub(super) fn choose(&self, logits: &Tensor, among: usize) -> Result<Tensor, TchError> {
        let (rows, width) = (rows_of(logits), *logits.size().last().unwrap_or(&0));
        let parts = among.div_ceil(CHOICES).max(1);
        let chosen = Tensor::f_empty([int(rows)], (Kind::Int, self.place.device))?;
        let partial = Tensor::f_empty([int(rows * parts * 2)], (Kind::Float, self.place.device))?;
        let arrivals = Tensor::f_zeros([int(rows)], (Kind::Int, self.place.device))?;
        let arguments = [
            Argument::At(logits),
            Argument::Int(width as i32),
            Argument::Int(i32::try_from(among).unwrap_or(i32::MAX).min(width as i32)),
            Argument::At(&partial),
            Argument::At(&arrivals),
            Argument::At(&chosen),
        ];
        // SAFETY: logits hold so many rows of that width, one behind the other, and the rest as many as is said here.
        unsafe { self.kernels.choose.launch([parts, rows, 1], NORM_THREADS, &arguments) }?;
        Ok(chosen)
    }

    /// wide [rows, 2 × inner], gates first → [rows, inner].
    pub(super) fn gate(&self, wide: &Tensor) -> Result<Tensor, TchError> {
        let rows = rows_of(wide);
        let narrow = self.room(&[int(rows), int(self.inner)])?;
        let count = rows * self.inner;
        let arguments = [Argument::At(wide), Argument::At(&narrow), Argument::Int(int_of(self.inner)), Argument::Long(int(count))];
        // SAFETY: both hold so many rows of that width.
        unsafe { self.kernels.gate.launch([count.div_ceil(NORM_THREADS).min(4096), 1, 1], NORM_THREADS, &arguments) }?;
        Ok(narrow)
    }
}

/// Why a model does not run on these kernels.
fn unfit(plan: &Plan, kind: Kind) -> Option<&'static str> {
    let group = plan.heads / plan.kv_heads;
    // What `attend` and `turn_and_keep` hold in shared memory.
    let attend = (group * (plan.head + TILE + 4) + 2 * plan.head) * 4 + TILE * 8;
    let turn = (TILE / WARP) * plan.head * 4;
    if code_of(kind).is_none() {
        Some("its number format")
    } else if !plan.head.is_multiple_of(8) {
        Some("heads whose size is not a multiple of 8")
    } else if attend.max(turn) > SHARED_BYTES || group > 16 || plan.hidden > 64 * NORM_THREADS {
        Some("its size")
    } else {
        None
    }
}

fn code_of(kind: Kind) -> Option<usize> {
    [Kind::Float, Kind::Half, Kind::BFloat16].iter().position(|known| *known == kind)
}

fn options(plan: &Plan, kind: Kind) -> Vec<String> {
    let defined = [
        ("KIND", code_of(kind).unwrap_or_default()),
        ("HIDDEN", plan.hidden),
        ("INNER", plan.inner),
        ("HEADS", plan.heads),
        ("KV_HEADS", plan.kv_heads),
        ("SIZE", plan.head),
        ("LAYER_NORM", usize::from(matches!(plan.norm, NormKind::Layer { .. }))),
        ("ACTIVATION", plan.activation.code() as usize),
        ("TOKENS_OF_BLOCK", TOKENS_OF_BLOCK),
        ("PRODUCTS", usize::from(products::fit(plan, kind))),
    ];
    defined.map(|(name, value)| format!("-D{name}={value}")).to_vec()
}

fn turn_arguments<'a>(turn: Option<&'a (Tensor, Tensor)>, norm: Option<&'a HeadNorm>) -> [Argument<'a>; 5] {
    let turning = turn.map_or(0, |(cosines, _)| *cosines.size().last().unwrap_or(&0));
    [
        maybe(turn.map(|(cosines, _)| cosines)),
        maybe(turn.map(|(_, sines)| sines)),
        Argument::Int(turning as i32),
        maybe(norm.map(|norm| &norm.weight)),
        Argument::Float(norm.map_or(0.0, |norm| norm.epsilon) as f32),
    ]
}

/// A size as the kernels count it; those that are compiled for are far below the end.
fn int_of(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn rows_of(rows: &Tensor) -> usize {
    rows.size().first().map_or(0, |&rows| rows as usize)
}

fn maybe(tensor: Option<&Tensor>) -> Argument<'_> {
    tensor.map_or(Argument::Nowhere, Argument::At)
}

fn norm_arguments(norm: &Norm) -> [Argument<'_>; 3] {
    [Argument::At(&norm.weight), maybe(norm.bias.as_ref()), Argument::Float(norm.epsilon as f32)]
}
