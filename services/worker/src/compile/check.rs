//! Whether a package answers as the original does, with the engines that serve.

use std::{path::Path, time::Instant};

use super::{CompileError, Speed, plan::Plan};
use crate::{
    engine::{self, Engine, EngineSpec},
    executor::warmup,
    manifest::{ATTENTION_MASK, INPUT_IDS, TensorSpec},
    tensor::{Datatype, Tensor},
};

/// How often each shape is timed.
const ROUNDS: usize = 5;

/// What was found.
pub(super) struct Checked {
    /// Against the largest value of the original's answer, or 1 where that is smaller.
    pub(super) largest_difference: f32,
    pub(super) speed: Vec<Speed>,
}

/// Runs both on made-up inputs: one row and several, lengths of 1, odd ones, and those of the warm-up, rows with and without padding.
pub(super) fn check(plan: &Plan, draft: &Path) -> Result<Checked, CompileError> {
    let load = |spec: &EngineSpec| engine::load(spec).map_err(|error| CompileError::new(error.to_string()));
    let mut original = load(&plan.spec)?;
    let mut package = load(&EngineSpec { artefact: draft.to_owned(), ..plan.spec.clone() })?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut largest_difference = 0.0_f32;
    for (rows, length) in shapes(plan) {
        let inputs = random.inputs(plan, rows, length);
        let said =
            |who: &str, error: engine::EngineError| CompileError::new(format!("{who}, with {rows} rows of length {length}: {error}"));
        let want = match original.forward(&inputs) {
            Ok(want) => want,
            // Not every length is one that the model takes; those of the warm-up are.
            Err(_) if !warmup::shapes(&plan.manifest).contains(&(rows, length)) => continue,
            Err(error) => return Err(said("the original failed", error)),
        };
        let have = package.forward(&inputs).map_err(|error| said("the compiled model failed", error))?;
        let mask = plan.manifest.inputs.iter().position(|input| input.name == ATTENTION_MASK).map(|at| &inputs[at]);
        largest_difference = largest_difference.max(difference(&want, &have, mask)?);
    }
    let speed = warmup::shapes(&plan.manifest).into_iter().map(|(rows, length)| {
        let inputs = warmup::inputs(&plan.manifest, rows, length);
        Speed { rows, length, original_ms: best(original.as_mut(), &inputs), package_ms: best(package.as_mut(), &inputs) }
    });
    Ok(Checked { largest_difference, speed: speed.collect() })
}

fn shapes(plan: &Plan) -> Vec<(usize, usize)> {
    let warm = warmup::shapes(&plan.manifest);
    let longest = warm.iter().map(|&(_, length)| length).max().unwrap_or(1);
    let mut shapes = vec![(1, 1), (3, 1), (1, longest), (3, longest), (2, longest.saturating_sub(1).max(1)), (5, longest / 2 + 1)];
    shapes.extend(warm);
    shapes.sort_unstable();
    shapes.dedup();
    shapes
}

fn best(engine: &mut dyn Engine, inputs: &[Tensor]) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        if engine.forward(inputs).is_ok() {
            best = best.min(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    best
}

/// How far `have` is from `want`; infinite where they are not of one kind. What stands at padded places does not count.
pub(super) fn difference(want: &[Tensor], have: &[Tensor], mask: Option<&Tensor>) -> Result<f32, CompileError> {
    let of = |tensors: &[Tensor]| tensors.iter().map(|tensor| (tensor.datatype.name(), tensor.shape.clone())).collect::<Vec<_>>();
    if of(want) != of(have) {
        return Err(CompileError::new(format!("the compiled model answers with {:?}, the original with {:?}", of(have), of(want))));
    }
    Ok(want.iter().zip(have).map(|(want, have)| difference_of(want, have, mask)).fold(0.0, f32::max))
}

fn difference_of(want: &Tensor, have: &Tensor, mask: Option<&Tensor>) -> f32 {
    let (Some(wanted), Some(given)) = (want.to_f32s(), have.to_f32s()) else {
        return if want.data == have.data { 0.0 } else { f32::INFINITY };
    };
    let mask = mask.filter(|mask| want.shape.starts_with(&mask.shape)).and_then(Tensor::to_i64s);
    let width = mask.as_ref().map_or(1, |mask| wanted.len() / mask.len().max(1)).max(1);
    let counts = |at: usize| mask.as_ref().is_none_or(|mask| mask[at / width] != 0);
    let pairs = || wanted.iter().zip(&given).enumerate().filter(|(at, _)| counts(*at)).map(|(_, pair)| pair);
    let largest = pairs().map(|(want, _)| want.abs()).fold(1.0, f32::max);
    let apart = |(want, have): (&f32, &f32)| if want.to_bits() == have.to_bits() { 0.0 } else { (want - have).abs() };
    // A number on one side alone is as far as can be; `max` would pass over it.
    pairs().map(apart).map(|apart| if apart.is_nan() { f32::INFINITY } else { apart }).fold(0.0, f32::max) / largest
}

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn inputs(&mut self, plan: &Plan, rows: usize, length: usize) -> Vec<Tensor> {
        let made = warmup::inputs(&plan.manifest, rows, length);
        let pairs = plan.manifest.inputs.iter().zip(made);
        pairs.map(|(spec, tensor)| self.fill(spec, tensor, plan.vocabulary)).collect()
    }

    /// The same tensor with other elements: ids of the vocabulary, masks with padding at the end of every other row, numbers around 0.
    fn fill(&mut self, spec: &TensorSpec, tensor: Tensor, vocabulary: usize) -> Tensor {
        let count = tensor.elements().unwrap_or(0);
        match spec.datatype {
            Datatype::Fp32 => {
                let values: Vec<f32> = (0..count).map(|_| (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0).collect();
                Tensor::from_f32s(tensor.shape, &values)
            }
            Datatype::Int64 if spec.name == ATTENTION_MASK => {
                let wide = tensor.shape.last().map_or(1, |&dim| usize::try_from(dim).unwrap_or(1)).max(1);
                let real = |row: usize| if row % 2 == 1 { wide.div_ceil(2) } else { wide };
                let values: Vec<i64> = (0..count).map(|at| i64::from(at % wide < real(at / wide))).collect();
                Tensor::from_i64s(tensor.shape, &values)
            }
            Datatype::Int64 => {
                let below = if spec.name == INPUT_IDS { vocabulary.max(2) } else { 2 };
                let values: Vec<i64> = (0..count).map(|_| i64::try_from(self.next() % below as u64).unwrap_or(0)).collect();
                Tensor::from_i64s(tensor.shape, &values)
            }
            _ => tensor,
        }
    }
}
