//! `concat`: the inputs one behind the other, in the order of their names.

use bytes::BytesMut;
use torchmesh_api::tensor::Tensor;
use torchmesh_settings::Section;

use super::{Given, Rule, axis, product};
use crate::{
    element::Elements,
    kind::{ANY, TensorType},
};

/// `axis` (0): the dimension along which they stand; the others must be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concat {
    /// The dimension.
    pub axis: i64,
}

impl Concat {
    pub(super) fn read(s: &mut Section) -> Self {
        Self { axis: s.or("axis", 0) }
    }
}

/// Tensors one behind the other; there is at least one.
pub(crate) fn concat(tensors: &[&Tensor], along: i64) -> Result<Tensor, String> {
    let first = tensors.first().ok_or("there is nothing to put together")?;
    if let [only] = tensors {
        return Ok((*only).clone());
    }
    let at = axis(along, first.shape.len())?;
    let mut shape = first.shape.clone();
    for tensor in &tensors[1..] {
        let mut other = tensor.shape.clone();
        if other.len() == shape.len() {
            other[at] = first.shape[at];
        }
        if tensor.datatype != first.datatype || other != first.shape {
            let (a, b) = (TensorType::of(first), TensorType::of(tensor));
            return Err(format!("{a} and {b} differ elsewhere than along axis {along}"));
        }
        shape[at] = shape[at].checked_add(tensor.shape[at]).ok_or_else(|| too_long(along))?;
    }
    let all = tensors.iter().map(|tensor| Elements::of(tensor)).collect::<Result<Vec<_>, _>>()?;
    let length = tensors.iter().map(|tensor| tensor.data.len()).sum();
    // What has no bytes may have any number of rows.
    let outer = if length == 0 { 0 } else { product(&shape[..at]) };
    let mut out = BytesMut::with_capacity(length);
    for row in 0..outer {
        for (tensor, elements) in tensors.iter().zip(&all) {
            let block = product(&tensor.shape[at..]);
            out.extend_from_slice(&elements.bytes(row * block..(row + 1) * block));
        }
    }
    Ok(Tensor { datatype: first.datatype, shape, data: out.freeze() })
}

fn too_long(along: i64) -> String {
    format!("its inputs are too long together along axis {along}")
}

impl Rule for Concat {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let mut all = inputs.iter().map(|(_, kind)| kind.clone());
        let mut kind = all.next().ok_or("takes at least one input")?;
        let at = axis(self.axis, kind.shape.len())?;
        for mut other in all {
            let length = other.shape.get(at).copied().unwrap_or(ANY);
            let open = length == ANY || kind.shape[at] == ANY;
            let sum = if open { ANY } else { kind.shape[at].checked_add(length).ok_or_else(|| too_long(self.axis))? };
            if let Some(along) = other.shape.get_mut(at) {
                *along = kind.shape[at];
            }
            let fits = kind.takes(&other);
            kind = kind
                .or(&other)
                .filter(|_| fits)
                .ok_or_else(|| format!("{kind} and {other} differ elsewhere than along axis {}", self.axis))?;
            kind.shape[at] = sum;
        }
        Ok(vec![kind])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensors: Vec<_> = inputs.iter().map(|(_, tensor)| tensor).collect();
        Ok(vec![concat(&tensors, self.axis)?])
    }
}
