//! From the rows of many requests to one batch, and back.

use bytes::Bytes;

use crate::{
    admission::{Answered, Batch, Piece},
    manifest::{Manifest, TensorSpec},
    tensor::Tensor,
};

/// Joins the pieces of a batch into one tensor an input. Shorter sequences are filled up with the input's padding.
///
/// A lone piece is handed on as it came, without a copy.
pub(super) fn join(batch: &Batch, specs: &[TensorSpec]) -> Vec<Tensor> {
    if let [only] = batch.pieces.as_slice() {
        return only.content.inputs.clone();
    }
    specs.iter().enumerate().map(|(at, spec)| join_input(batch, at, spec)).collect()
}

fn join_input(batch: &Batch, at: usize, spec: &TensorSpec) -> Tensor {
    let tensors = || batch.pieces.iter().filter_map(move |piece| piece.content.inputs.get(at));
    let mut shape = tensors().next().map(|first| first.shape.clone()).unwrap_or_default();
    if let Some(rows) = shape.first_mut() {
        *rows = tensors().map(|tensor| tensor.shape[0]).sum();
    }
    let mut data = Vec::new();
    match &spec.pad {
        Some(pad) if shape.len() > 1 => {
            let longest = tensors().map(|tensor| tensor.shape[1]).max().unwrap_or(0);
            shape[1] = longest;
            let step: usize = shape[2..].iter().map(|&dim| unsigned(dim)).product::<usize>() * pad.len();
            data.reserve_exact(unsigned(shape[0]) * unsigned(longest) * step);
            for tensor in tensors() {
                pad_rows(&mut data, tensor, unsigned(longest) * step, step, pad);
            }
        }
        _ => {
            data.reserve_exact(tensors().map(|tensor| tensor.data.len()).sum());
            tensors().for_each(|tensor| data.extend_from_slice(&tensor.data));
        }
    }
    Tensor { datatype: spec.datatype, shape, data: Bytes::from(data) }
}

fn pad_rows(data: &mut Vec<u8>, tensor: &Tensor, wide: usize, step: usize, pad: &[u8]) {
    let own = unsigned(tensor.shape[1]) * step;
    if own == wide {
        data.extend_from_slice(&tensor.data);
        return;
    }
    let zero = pad.iter().all(|&byte| byte == 0);
    for row in tensor.data.chunks_exact(own.max(1)) {
        data.extend_from_slice(row);
        let end = data.len() + wide - own;
        if zero {
            data.resize(end, 0);
        } else {
            data.extend(pad.iter().copied().cycle().take(wide - own));
        }
    }
}

/// Checks what a model returned for `rows` rows, or for a request without rows, against its manifest; the error says how they differ.
pub(super) fn check(outputs: &[Tensor], rows: Option<usize>, specs: &[TensorSpec]) -> Result<(), String> {
    if outputs.len() != specs.len() {
        return Err(format!("the model returned {} outputs, and its manifest names {}", outputs.len(), specs.len()));
    }
    for (output, spec) in outputs.iter().zip(specs) {
        let given = || format!("{} {:?}", output.datatype, output.shape);
        let dims = output.shape.len() == spec.shape.len()
            && output.shape.iter().zip(&spec.shape).skip(usize::from(rows.is_some())).all(|(&have, &want)| want == -1 || have == want);
        if output.datatype != spec.datatype || !dims {
            return Err(format!("the model returned {} where its manifest says {spec}", given()));
        }
        if let Some(rows) = rows
            && output.shape.first() != Some(&signed(rows))
        {
            return Err(format!("the model returned {} for \"{}\" when it was given {rows} rows", given(), spec.name));
        }
    }
    Ok(())
}

/// Gives each piece its rows of the outputs; rows share the batch's memory unless padding has to be cut off.
pub(super) fn part(batch: &Batch, outputs: Vec<Tensor>, manifest: &Manifest) -> Vec<Answered> {
    let longest = batch.longest();
    let mut rest = outputs;
    let last = batch.pieces.len() - 1;
    let mut parts = Vec::with_capacity(batch.pieces.len());
    for (at, piece) in batch.pieces.iter().enumerate() {
        let mine = if at == last {
            std::mem::take(&mut rest)
        } else {
            let (mine, others) = rest.iter().map(|output| output.split_rows(piece.content.rows)).unzip();
            rest = others;
            mine
        };
        parts.push(answered(piece, mine, longest, manifest));
    }
    parts
}

fn answered(piece: &Piece, mut outputs: Vec<Tensor>, longest: usize, manifest: &Manifest) -> Answered {
    if piece.content.length < longest {
        for (output, spec) in outputs.iter_mut().zip(&manifest.outputs) {
            if manifest.follows_sequence(spec) && output.shape.get(1) == Some(&signed(longest)) {
                shorten(output, piece.content.length);
            }
        }
    }
    Answered { part: piece.part, first_row: piece.first_row, rows: piece.content.rows, outputs }
}

/// Cuts the second dimension to `length`.
fn shorten(tensor: &mut Tensor, length: usize) {
    let (rows, long) = (unsigned(tensor.shape[0]), unsigned(tensor.shape[1]));
    let wide = tensor.data.len() / rows.max(1);
    let narrow = wide / long.max(1) * length;
    let mut data = Vec::with_capacity(rows * narrow);
    for row in tensor.data.chunks_exact(wide.max(1)) {
        data.extend_from_slice(&row[..narrow]);
    }
    tensor.data = Bytes::from(data);
    tensor.shape[1] = signed(length);
}

fn unsigned(dim: i64) -> usize {
    usize::try_from(dim).unwrap_or(0)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::*;
    use crate::{
        admission::{Part, Ticket},
        manifest::Published,
        tensor::Datatype,
        testing::ECHO,
    };

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(text, &Published::default()).unwrap()
    }

    fn spec(shape: &[i64], pad: Option<i64>) -> TensorSpec {
        TensorSpec { name: "x".into(), datatype: Datatype::Int64, shape: shape.into(), pad: pad.map(|pad| pad.to_le_bytes().into()) }
    }

    fn batch(tensors: &[(&[i64], &[i64])]) -> Batch {
        let piece = |&(shape, values): &(&[i64], &[i64])| {
            let content = Part {
                rows: unsigned(shape[0]),
                length: shape.get(1).map_or(1, |&dim| unsigned(dim)),
                shape: Box::default(),
                inputs: vec![Tensor::from_i64s(shape, values)],
                attribution: None,
            };
            Piece { ticket: Arc::new(Ticket::for_test()), part: 0, first_row: 0, content }
        };
        Batch { pieces: tensors.iter().map(piece).collect(), taken: Instant::now() }
    }

    #[test]
    fn shorter_sequences_are_filled_with_the_padding() {
        let batch = batch(&[(&[1, 1], &[1]), (&[2, 3], &[2, 3, 4, 5, 6, 7])]);
        let joined = join(&batch, &[spec(&[-1, -1], Some(-9))]);
        assert_eq!(joined, [Tensor::from_i64s([3, 3], &[1, -9, -9, 2, 3, 4, 5, 6, 7])]);
    }

    #[test]
    fn padding_fills_whole_steps_of_a_deeper_tensor() {
        let batch = batch(&[(&[1, 1, 2], &[1, 2]), (&[1, 2, 2], &[3, 4, 5, 6])]);
        let joined = join(&batch, &[spec(&[-1, -1, 2], Some(0))]);
        assert_eq!(joined, [Tensor::from_i64s([2, 2, 2], &[1, 2, 0, 0, 3, 4, 5, 6])]);
    }

    #[test]
    fn a_lone_request_is_handed_on_without_a_copy() {
        let batch = batch(&[(&[1, 2], &[1, 2])]);
        let joined = join(&batch, &[spec(&[-1, -1], Some(0))]);
        assert_eq!(joined[0].data.as_ptr(), batch.pieces[0].content.inputs[0].data.as_ptr());
    }

    #[test]
    fn each_request_gets_its_rows_back_without_the_padding() {
        let batch = batch(&[(&[1, 1], &[1]), (&[2, 2], &[2, 3, 4, 5])]);
        let specs = [spec(&[-1, -1], Some(0))];
        let outputs = join(&batch, &specs);
        let parts = part(&batch, outputs, &manifest(ECHO));
        assert_eq!(parts[0].outputs, [Tensor::from_i64s([1, 1], &[1])]);
        assert_eq!(parts[1].outputs, [Tensor::from_i64s([2, 2], &[2, 3, 4, 5])]);
    }

    #[test]
    fn scores_of_a_text_are_whole_even_when_there_are_as_many_as_tokens() {
        let batch = batch(&[(&[1, 1], &[1]), (&[1, 2], &[2, 3])]);
        let two_rows = || vec![Tensor::from_f32s([2, 2], &[0.1, 0.2, 0.3, 0.4])];
        for task in ["task = 'classify'", "task = 'embed'"] {
            let parts = part(&batch, two_rows(), &manifest(task));
            assert_eq!(parts[0].outputs, [Tensor::from_f32s([1, 2], &[0.1, 0.2])], "{task}");
        }
        let by_token = vec![Tensor::from_f32s([2, 2, 1], &[0.1, 0.2, 0.3, 0.4])];
        let parts = part(&batch, by_token, &manifest("task = 'token-classify'"));
        assert_eq!(parts[0].outputs, [Tensor::from_f32s([1, 1, 1], &[0.1])]);
    }

    #[test]
    fn a_model_that_returns_what_its_manifest_does_not_say_is_told() {
        let good = Tensor::from_i64s([2, 3], &[0; 6]);
        let cases = [
            (vec![good.clone()], spec(&[-1, 3], None), None),
            (vec![], spec(&[-1, 3], None), Some("returned 0 outputs")),
            (vec![good.clone()], spec(&[-1, 4], None), Some("where its manifest says")),
            (vec![Tensor::from_i64s([1, 3], &[0; 3])], spec(&[-1, 3], None), Some("given 2 rows")),
        ];
        for (outputs, spec, want) in cases {
            let got = check(&outputs, Some(2), &[spec]).err();
            assert_eq!(got.is_some(), want.is_some(), "{got:?}");
            assert!(got.unwrap_or_default().contains(want.unwrap_or_default()));
        }
    }
}
