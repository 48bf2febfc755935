//! From the vectors of a text's tokens to one vector, as sentence-transformers does it.

use bytes::Bytes;

use crate::{
    manifest::Pooling,
    tensor::{Datatype, Tensor},
};

/// The smallest length a vector is divided by, so that a zero vector stays zero.
const SMALLEST_NORM: f32 = 1e-12;
/// The smallest token count that a sum is divided by.
const SMALLEST_COUNT: f32 = 1e-9;

/// Pools token vectors (`FP32`, [rows, sequence, dim]) over the mask (`INT64`, [rows, sequence]) into [rows, dim], and scales
/// each vector to length 1 if asked. The error says what the model returned that cannot be pooled.
///
/// `NaN` and infinity are passed on, not hidden.
pub(crate) fn pool(output: &Tensor, mask: &Tensor, pooling: Pooling, normalize: bool) -> Result<Tensor, String> {
    let wrong = |advice: &str| Err(format!("the model returned {} {:?}; {advice}", output.datatype, output.shape));
    if output.datatype != Datatype::Fp32 || !output.is_consistent() {
        return wrong("embeddings must be FP32");
    }
    let (rows, sequence, dim) = match (pooling, output.shape.as_slice()) {
        (Pooling::None, &[rows, dim]) => (rows, 1, dim),
        (Pooling::None, _) => return wrong("pooling = \"none\" needs [rows, dim]: set pooling = \"mean\" or \"cls\""),
        (_, &[rows, sequence, dim]) if mask.shape == [rows, sequence] => (rows, sequence, dim),
        _ => return wrong("pooling needs [rows, sequence, dim]: set pooling = \"none\" if the model pools by itself"),
    };
    let size = |dim: i64| usize::try_from(dim).unwrap_or(0);
    let (sequence, dim) = (size(sequence), size(dim));
    let mut data = Vec::with_capacity(size(rows) * dim * 4);
    let mut vector = vec![0.0_f32; dim];
    let tokens = output.data.chunks_exact((sequence * dim * 4).max(1));
    for (row, tokens) in tokens.enumerate() {
        match pooling {
            Pooling::Mean => {
                let mask = mask.data.get(row * sequence * 8..).unwrap_or_default();
                mean(&mut vector, tokens, mask);
            }
            Pooling::Cls | Pooling::None => read(&mut vector, tokens),
        }
        if normalize {
            scale_to_one(&mut vector);
        }
        data.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(Tensor { datatype: Datatype::Fp32, shape: vec![rows, i64::try_from(dim).unwrap_or(0)], data: Bytes::from(data) })
}

fn read(vector: &mut [f32], bytes: &[u8]) {
    for (value, bytes) in vector.iter_mut().zip(bytes.as_chunks().0) {
        *value = f32::from_le_bytes(*bytes);
    }
}

fn mean(vector: &mut [f32], tokens: &[u8], mask: &[u8]) {
    vector.fill(0.0);
    let mut count = 0.0_f32;
    for (token, weight) in tokens.chunks_exact((vector.len() * 4).max(1)).zip(mask.as_chunks().0) {
        let weight = i64::from_le_bytes(*weight);
        // Skipped rather than multiplied by zero: the model may leave anything at a padded place.
        if weight == 0 {
            continue;
        }
        let weight = weight as f32;
        count += weight;
        for (sum, bytes) in vector.iter_mut().zip(token.as_chunks().0) {
            *sum += weight * f32::from_le_bytes(*bytes);
        }
    }
    let scale = if count < SMALLEST_COUNT { SMALLEST_COUNT } else { count };
    for sum in vector {
        *sum /= scale;
    }
}

pub(crate) fn scale_to_one(vector: &mut [f32]) {
    // Eight sums side by side, which the compiler turns into one vector register.
    let (chunks, rest) = vector.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let total: f32 = sums.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>();
    let norm = total.sqrt();
    // Not `max`, which would turn a NaN into a small number.
    let norm = if norm < SMALLEST_NORM { SMALLEST_NORM } else { norm };
    for value in vector {
        *value /= norm;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hidden() -> (Tensor, Tensor) {
        let output = Tensor::from_f32s([2, 2, 2], &[1.0, 2.0, 3.0, 6.0, 5.0, 0.0, 99.0, f32::NAN]);
        (output, Tensor::from_i64s([2, 2], &[1, 1, 1, 0]))
    }

    #[test]
    fn the_mean_leaves_padding_out_even_when_it_is_not_a_number() {
        let (output, mask) = hidden();
        assert_eq!(pool(&output, &mask, Pooling::Mean, false).unwrap(), Tensor::from_f32s([2, 2], &[2.0, 4.0, 5.0, 0.0]));
    }

    #[test]
    fn cls_is_the_first_token() {
        let (output, mask) = hidden();
        assert_eq!(pool(&output, &mask, Pooling::Cls, false).unwrap(), Tensor::from_f32s([2, 2], &[1.0, 2.0, 5.0, 0.0]));
    }

    #[test]
    fn a_vector_that_the_model_pooled_itself_is_only_scaled() {
        let output = Tensor::from_f32s([1, 2], &[3.0, 4.0]);
        let mask = Tensor::from_i64s([1, 5], &[1; 5]);
        assert_eq!(pool(&output, &mask, Pooling::None, true).unwrap(), Tensor::from_f32s([1, 2], &[0.6, 0.8]));
    }

    #[test]
    fn a_vector_that_is_not_a_number_is_not_hidden() {
        let output = Tensor::from_f32s([1, 2], &[f32::NAN, 1.0]);
        let mask = Tensor::from_i64s([1, 1], &[1]);
        let values = pool(&output, &mask, Pooling::None, true).unwrap().to_f32s().unwrap();
        assert!(values.iter().all(|value| value.is_nan()), "{values:?}");
    }

    #[test]
    fn a_zero_vector_and_an_empty_mask_stay_zero() {
        let output = Tensor::from_f32s([1, 1, 3], &[1.0, 2.0, 3.0]);
        let mask = Tensor::from_i64s([1, 1], &[0]);
        assert_eq!(pool(&output, &mask, Pooling::Mean, true).unwrap().to_f32s().unwrap(), [0.0; 3]);
    }

    #[test]
    fn an_output_of_another_form_is_refused_with_advice() {
        let mask = Tensor::from_i64s([1, 1], &[1]);
        let advice = pool(&Tensor::from_f32s([1, 2], &[0.0; 2]), &mask, Pooling::Mean, true).unwrap_err();
        assert!(advice.contains("set pooling = \"none\""), "{advice}");
    }

    proptest! {
        #[test]
        fn a_normalized_vector_has_length_one(values in prop::collection::vec(-10.0_f32..10.0, 1..70)) {
            prop_assume!(values.iter().any(|value| value.abs() > 0.01));
            let dim = i64::try_from(values.len()).unwrap();
            let made = pool(&Tensor::from_f32s([1, dim], &values), &Tensor::from_i64s([1, 1], &[1]), Pooling::None, true).unwrap();
            let length: f32 = made.to_f32s().unwrap().iter().map(|value| value * value).sum();
            prop_assert!((length - 1.0).abs() < 1e-5);
        }
    }
}
