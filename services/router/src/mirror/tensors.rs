//! When two answers of the Open Inference Protocol agree: tensor by tensor.

use half::{bf16, f16};
use torchmesh_api::inference::{ModelInferResponse, model_infer_response::InferOutputTensor};

use super::compare::How;

/// Whether both have the same tensors, whatever their order, and each agrees with the other's.
pub(super) fn agree(how: How, a: &ModelInferResponse, b: &ModelInferResponse) -> bool {
    let counterpart = |tensor: &InferOutputTensor| b.outputs.iter().position(|other| other.name == tensor.name);
    a.outputs.len() == b.outputs.len()
        && a.outputs.iter().enumerate().all(|(at, tensor)| {
            let Some(other) = counterpart(tensor) else { return false };
            same(how, (tensor, raw(a, at)), (&b.outputs[other], raw(b, other)))
        })
}

type Tensor<'a> = (&'a InferOutputTensor, Option<&'a [u8]>);

fn raw(response: &ModelInferResponse, at: usize) -> Option<&[u8]> {
    response.raw_output_contents.get(at).map(|bytes| &bytes[..])
}

fn same(how: How, a: Tensor<'_>, b: Tensor<'_>) -> bool {
    if (&a.0.datatype, &a.0.shape) != (&b.0.datatype, &b.0.shape) {
        return false;
    }
    match (floats(a), floats(b)) {
        (Some(x), Some(y)) => {
            let row = usize::try_from(*a.0.shape.last().unwrap_or(&1)).unwrap_or(1).max(1);
            x.len() == y.len() && x.chunks(row).zip(y.chunks(row)).all(|(x, y)| how.rows(x, y))
        }
        (None, None) => a.1 == b.1 && a.0.contents == b.0.contents,
        _ => false,
    }
}

/// The numbers of a tensor of floats.
fn floats((tensor, raw): Tensor<'_>) -> Option<Vec<f64>> {
    let contents = tensor.contents.as_ref();
    match (tensor.datatype.as_str(), raw) {
        ("FP16", Some(raw)) => Some(numbers(raw, |bytes| f16::from_le_bytes(bytes).to_f64())),
        ("BF16", Some(raw)) => Some(numbers(raw, |bytes| bf16::from_le_bytes(bytes).to_f64())),
        ("FP32", Some(raw)) => Some(numbers(raw, |bytes| f64::from(f32::from_le_bytes(bytes)))),
        ("FP64", Some(raw)) => Some(numbers(raw, f64::from_le_bytes)),
        ("FP32", None) => contents.map(|contents| contents.fp32_contents.iter().copied().map(f64::from).collect()),
        ("FP64", None) => contents.map(|contents| contents.fp64_contents.clone()),
        _ => None,
    }
}

fn numbers<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    raw.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::shadow::Compare;

    fn answer(datatype: &str, shape: &[i64], raw: Vec<u8>) -> ModelInferResponse {
        let tensor =
            InferOutputTensor { name: "scores".to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec(), ..Default::default() };
        ModelInferResponse { outputs: vec![tensor], raw_output_contents: vec![raw.into()], ..Default::default() }
    }

    fn fp32(shape: &[i64], numbers: &[f32]) -> ModelInferResponse {
        answer("FP32", shape, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    const VALUES: How = How { compare: Compare::Values, tolerance: 0.01 };
    const ARGMAX: How = How { compare: Compare::Argmax, tolerance: 0.01 };

    #[test]
    fn numbers_agree_within_the_tolerance_or_in_where_each_rows_largest_is() {
        let callers = fp32(&[2, 2], &[0.9, 0.1, 0.2, 0.8]);
        let (near, other_scores, other_row) =
            (fp32(&[2, 2], &[0.901, 0.1, 0.2, 0.8]), fp32(&[2, 2], &[0.6, 0.4, 0.4, 0.6]), fp32(&[2, 2], &[0.9, 0.1, 0.6, 0.4]));
        assert_eq!([&near, &other_scores, &other_row].map(|shadows| agree(VALUES, &callers, shadows)), [true, false, false]);
        assert_eq!([&near, &other_scores, &other_row].map(|shadows| agree(ARGMAX, &callers, shadows)), [true, true, false]);
    }

    #[test]
    fn half_precision_is_compared_as_numbers_and_everything_else_bit_by_bit() {
        let half = |number: f32| answer("FP16", &[1], f16::from_f32(number).to_le_bytes().to_vec());
        assert!(agree(VALUES, &half(1.0), &half(1.005)) && !agree(VALUES, &half(1.0), &half(1.1)));
        let whole = |number: i64| answer("INT64", &[1], number.to_le_bytes().to_vec());
        assert!(agree(ARGMAX, &whole(7), &whole(7)) && !agree(ARGMAX, &whole(7), &whole(8)));
    }

    #[test]
    fn another_shape_type_or_name_disagrees() {
        let callers = fp32(&[1, 2], &[0.0, 1.0]);
        let mut renamed = callers.clone();
        renamed.outputs[0].name = "logits".to_owned();
        for shadows in [fp32(&[2, 1], &[0.0, 1.0]), answer("FP64", &[1, 2], vec![0; 16]), renamed, ModelInferResponse::default()] {
            assert!(!agree(VALUES, &callers, &shadows));
        }
    }
}
