//! `top_k`: the largest elements along the last dimension, and where they are.

use bytes::BytesMut;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, Rule, only, product};
use crate::{
    element::{Elements, dimension, numbers},
    kind::{ANY, TensorType},
};

/// `k`: how many, the largest first; of equal ones the one in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopK {
    /// How many.
    pub k: usize,
}

impl TopK {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let k = s.required("k")?;
        s.check(k >= 1, "k", "must be at least 1");
        Some(Self { k })
    }
}

impl Rule for TopK {
    fn outputs(&self) -> &'static [&'static str] {
        &["values", "indices"]
    }

    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let mut kind = only(inputs)?.clone();
        if kind.datatype == Datatype::Bytes {
            return Err("takes numbers, not BYTES".to_owned());
        }
        let last = kind.shape.last_mut().ok_or("takes a tensor of at least one dimension")?;
        if *last != ANY && *last < dimension(self.k) {
            return Err(format!("takes the {} largest of {last}", self.k));
        }
        *last = dimension(self.k);
        let shape = kind.shape.clone();
        Ok(vec![kind, TensorType::new(Datatype::Int64, shape)])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let (elements, numbers) = (Elements::of(tensor)?, numbers(tensor)?);
        let last = tensor.shape.last().copied().ok_or("a tensor without dimensions has no largest elements")?;
        let (length, rows) = (product(&[last]), product(&tensor.shape[..tensor.shape.len() - 1]));
        if length < self.k {
            return Err(format!("wants the {} largest of {length} elements", self.k));
        }
        let (mut values, mut indices) = (BytesMut::new(), Vec::with_capacity(rows * self.k));
        for row in 0..rows {
            let mut order: Vec<usize> = (0..length).collect();
            // What is no number is never among the largest unless there is nothing else.
            let key = |at: usize| numbers[row * length + at].real();
            let rank = |at: &usize| if key(*at).is_nan() { f64::NEG_INFINITY } else { key(*at) };
            order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
            for &at in &order[..self.k] {
                values.extend_from_slice(&elements.bytes(row * length + at..row * length + at + 1));
                indices.push(dimension(at));
            }
        }
        let mut shape = tensor.shape.clone();
        *shape.last_mut().ok_or("a tensor without dimensions has no largest elements")? = dimension(self.k);
        let best = Tensor { datatype: tensor.datatype, shape: shape.clone(), data: values.freeze() };
        Ok(vec![best, Tensor::from_i64s(shape, &indices)])
    }
}
