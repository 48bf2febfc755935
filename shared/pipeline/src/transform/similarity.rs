//! `similarity`: how alike vectors are.

use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, MOST_BYTES, Rule, too_large, two};
use crate::{
    element::{dimension, numbers},
    kind::{ANY, TensorType},
};

/// The cosine of each vector of the first input with each of the second, in the order of their names: of [n, d] and [m, d], FP32 [n, m]. What has no
/// length is like nothing: 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Similarity;

impl Similarity {
    pub(super) fn read(_: &mut Section) -> Self {
        Self
    }
}

/// Rows and columns of a matrix.
fn sides(kind: &TensorType) -> Result<(i64, i64), String> {
    match kind.shape[..] {
        [rows, columns] if kind.datatype != Datatype::Bytes => Ok((rows, columns)),
        _ => Err(format!("takes two tensors of vectors [count, length], not {kind}")),
    }
}

/// The vectors of a matrix, each made as long as 1.
fn vectors(tensor: &Tensor) -> Result<Vec<Vec<f64>>, String> {
    let (_, columns) = sides(&TensorType::of(tensor))?;
    let width = usize::try_from(columns).unwrap_or(0);
    let values: Vec<f64> = numbers(tensor)?.into_iter().map(crate::element::Number::real).collect();
    let scaled = |vector: &[f64]| {
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        vector.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
    };
    Ok(values.chunks(width.max(1)).map(scaled).collect())
}

impl Rule for Similarity {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let (a, b) = two(inputs)?;
        let ((rows, width), (columns, other)) = (sides(a)?, sides(b)?);
        if width != other && width != ANY && other != ANY {
            return Err(format!("takes vectors of one length, not of {width} and {other}"));
        }
        Ok(vec![TensorType::new(Datatype::Fp32, [rows, columns])])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let (a, b) = two(inputs)?;
        self.infer(&inputs.iter().map(|(name, tensor)| (name.clone(), TensorType::of(tensor))).collect::<Vec<_>>())?;
        let (a, b) = (vectors(a)?, vectors(b)?);
        if a.len().saturating_mul(b.len()) > MOST_BYTES / 4 {
            return Err(too_large());
        }
        let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() as f32;
        let all: Vec<f32> = a.iter().flat_map(|a| b.iter().map(|b| cosine(a, b))).collect();
        Ok(vec![Tensor::from_f32s([a.len(), b.len()].map(dimension), &all)])
    }
}
