//! `cast`: the same numbers in another datatype.

use bytes::BytesMut;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, Rule, datatype, only};
use crate::{
    element::{numbers, put},
    kind::TensorType,
};

/// `to`: the nearest number that it has; a fraction is cut off where it has none, and BYTES gets the number's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cast {
    /// The datatype.
    pub to: Datatype,
}

impl Cast {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        Some(Self { to: datatype(s, "to")? })
    }
}

impl Rule for Cast {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let kind = only(inputs)?;
        if kind.datatype == Datatype::Bytes && self.to != Datatype::Bytes {
            return Err("cannot cast BYTES, which have no numbers; json reads numbers of texts".to_owned());
        }
        Ok(vec![TensorType::new(self.to, kind.shape.clone())])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        if tensor.datatype == self.to {
            return Ok(vec![tensor.clone()]);
        }
        let mut out = BytesMut::new();
        numbers(tensor)?.into_iter().for_each(|number| put(&mut out, self.to, number));
        Ok(vec![Tensor { datatype: self.to, shape: tensor.shape.clone(), data: out.freeze() }])
    }
}
