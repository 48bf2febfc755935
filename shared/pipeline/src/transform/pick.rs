//! `pick`: elements by their places.

use bytes::BytesMut;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, MOST_BYTES, Rule, too_large};
use crate::{
    element::{Elements, Number, numbers},
    kind::TensorType,
};

/// The elements of the list `from` at the places `at` (whole numbers from 0), in the shape of `at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick;

impl Pick {
    pub(super) fn read(_: &mut Section) -> Self {
        Self
    }
}

/// The list and the places.
fn both<T>(inputs: &[Given<T>]) -> Result<(&T, &T), String> {
    let find = |wanted: &str| inputs.iter().find(|(name, _)| **name == *wanted).map(|(_, given)| given);
    match (find("from"), find("at"), inputs.len()) {
        (Some(from), Some(at), 2) => Ok((from, at)),
        _ => Err("takes two inputs, called from and at".to_owned()),
    }
}

impl Rule for Pick {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let (from, at) = both(inputs)?;
        if from.shape.len() != 1 {
            return Err(format!("takes a list [count] as from, not {from}"));
        }
        let real = [Datatype::Fp16, Datatype::Bf16, Datatype::Fp32, Datatype::Fp64, Datatype::Bytes, Datatype::Bool];
        if real.contains(&at.datatype) {
            return Err(format!("takes whole numbers as at, not {at}"));
        }
        Ok(vec![TensorType::new(from.datatype, at.shape.clone())])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let (from, at) = both(inputs)?;
        let (elements, mut data) = (Elements::of(from)?, BytesMut::new());
        for place in numbers(at)? {
            let Number::Whole(place) = place else { return Err("takes whole numbers as at".to_owned()) };
            let found = usize::try_from(place).ok().filter(|place| *place < elements.len());
            let found = found.ok_or_else(|| format!("there is no element {place} of {}", elements.len()))?;
            data.extend_from_slice(&elements.bytes(found..found + 1));
            if data.len() > MOST_BYTES {
                return Err(too_large());
            }
        }
        Ok(vec![Tensor { datatype: from.datatype, shape: at.shape.clone(), data: data.freeze() }])
    }
}
