//! `threshold`: which elements are large enough.

use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, Rule, only};
use crate::{element::numbers, kind::TensorType};

/// `at_least`: the bound; what is no number is below it. Gives BOOL.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The bound.
    pub at_least: f64,
}

impl Threshold {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        Some(Self { at_least: s.required("at_least")? })
    }
}

impl Rule for Threshold {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let kind = only(inputs)?;
        if kind.datatype == Datatype::Bytes {
            return Err("takes numbers, not BYTES".to_owned());
        }
        Ok(vec![TensorType::new(Datatype::Bool, kind.shape.clone())])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let data: Vec<u8> = numbers(tensor)?.into_iter().map(|number| u8::from(number.real() >= self.at_least)).collect();
        Ok(vec![Tensor { datatype: Datatype::Bool, shape: tensor.shape.clone(), data: data.into() }])
    }
}
