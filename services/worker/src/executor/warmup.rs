//! Runs a model on made-up input until it is warm: the first calls of a model are slow, and no caller should be one of them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Assignment, Facts, runner::Runner};
use crate::{
    admission::Work,
    manifest::{ATTENTION_MASK, Manifest, TensorSpec},
    tensor::{Datatype, Tensor},
};

/// A shape whose first forward took less than this is run again: the first shows what warming up costs, not what a forward does.
const QUICK: Duration = Duration::from_secs(2);
/// How often it is run again.
const AGAIN: usize = 2;

/// Runs every batch size with every length of the manifest's `[warmup]`; the first shape also shows what the outputs look like.
pub(super) fn run(runner: &mut Runner, assignment: &Assignment) -> Result<Facts, String> {
    let manifest = &assignment.manifest;
    let mut outputs = None;
    assignment.queue.set_padding_costs(runner.padding_costs());
    for (rows, length) in shapes(manifest) {
        let inputs = inputs(manifest, rows, length);
        let failed = |reason: String| format!("the warm-up with {rows} rows of length {length} failed: {reason}");
        let mut forward = || {
            let began = Instant::now();
            let made = runner.forward(&inputs).map_err(|failure| {
                let advice = if is_open(manifest) { "; warmup.lengths in model.toml chooses other lengths" } else { "" };
                failed(failure.fatal.unwrap_or(failure.error.message)) + advice
            })?;
            Ok::<_, String>((made, began.elapsed()))
        };
        let (mut made, mut took) = forward()?;
        let again = if took < QUICK { AGAIN } else { 0 };
        for _ in 0..again {
            (made, took) = forward()?;
            // The first call is admitted, or refused, by what is known of forwards then.
            assignment.queue.learn(Work::of(rows, length), took);
        }
        if again == 0 {
            assignment.queue.learn(Work::of(rows, length), took);
        }
        let made = runner.finish(made, &inputs, rows).map_err(|failure| failed(failure.error.message))?;
        outputs.get_or_insert_with(|| runner.learned(&made));
    }
    Ok(Facts { platform: runner.platform(), differentiates: runner.differentiates(), outputs: outputs.unwrap_or_default() })
}

/// Made-up inputs of `rows` rows whose open dimensions are `length`.
pub(crate) fn inputs(manifest: &Manifest, rows: usize, length: usize) -> Vec<Tensor> {
    let rows = manifest.batched.then_some(rows);
    manifest.inputs.iter().map(|input| made_up(input, rows, length)).collect()
}

/// Whether callers choose a length beside that of the batch.
fn is_open(manifest: &Manifest) -> bool {
    manifest.inputs.iter().any(|input| input.shape.iter().skip(usize::from(manifest.batched)).any(|&dim| dim == -1))
}

/// The rows and lengths that are run.
pub(crate) fn shapes(manifest: &Manifest) -> Vec<(usize, usize)> {
    let or_one = |sizes: &[usize]| if sizes.is_empty() { vec![1] } else { sizes.to_vec() };
    let sizes = or_one(&manifest.warmup.batch_sizes);
    let lengths = if is_open(manifest) { or_one(&manifest.warmup.lengths) } else { vec![1] };
    let (budget, most) = (manifest.batching.max_padded_tokens, manifest.queue.max_bytes);
    // What is over the budget, or over what may wait, is never run together, so it needs no warm-up.
    let fitting = |length: usize| most.checked_div(manifest.row_bytes(length)?).filter(|&rows| rows > 0);
    let possible = lengths.iter().filter_map(|&length| Some((length, fitting(length)?.min((budget / length).max(1)))));
    let mut shapes: Vec<_> = possible.flat_map(|(length, fits)| sizes.iter().map(move |&rows| (rows.min(fits), length))).collect();
    shapes.dedup();
    shapes
}

/// Zeros, which any vocabulary has as a token and any image as a colour; a mask of ones, because a text of no token is no text.
fn made_up(input: &TensorSpec, rows: Option<usize>, length: usize) -> Tensor {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut shape: Vec<i64> = input.shape.iter().map(|&dim| if dim == -1 { signed(length) } else { dim }).collect();
    if let (Some(first), Some(rows)) = (shape.first_mut(), rows) {
        *first = signed(rows);
    }
    let mut tensor = Tensor { datatype: input.datatype, shape, data: Bytes::new() };
    let elements = tensor.elements().unwrap_or(0);
    if input.name == ATTENTION_MASK && input.datatype == Datatype::Int64 {
        return Tensor::from_i64s(tensor.shape, &vec![1; elements]);
    }
    tensor.data = Bytes::from(vec![0; elements * input.datatype.element_size().unwrap_or(4)]);
    tensor
}
