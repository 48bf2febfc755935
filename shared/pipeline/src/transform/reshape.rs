//! `reshape`: the same elements in another shape.

use torchmesh_api::tensor::Tensor;
use torchmesh_settings::Section;

use super::{Given, Rule, only};
use crate::{
    element::{Elements, dimension},
    kind::{ANY, TensorType},
};

/// `shape`: one dimension may be -1, and takes what is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reshape {
    /// The shape.
    pub shape: Vec<i64>,
}

impl Reshape {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let shape = s.required::<Vec<i64>>("shape")?;
        let good = shape.iter().all(|dim| *dim == ANY || *dim > 0) && shape.iter().filter(|dim| **dim == ANY).count() <= 1;
        s.check(good, "shape", "must have dimensions of 1 or more, of which one may be -1");
        Some(Self { shape })
    }

    fn of(&self, count: i64) -> Result<Vec<i64>, String> {
        let known = self.shape.iter().filter(|dim| **dim != ANY).try_fold(1_i64, |all, dim| all.checked_mul(*dim)).unwrap_or(i64::MAX);
        let open = self.shape.contains(&ANY);
        if (open && count % known != 0) || (!open && count != known) {
            return Err(format!("{count} elements are no tensor of the shape {:?}", self.shape));
        }
        Ok(self.shape.iter().map(|dim| if *dim == ANY { count / known } else { *dim }).collect())
    }
}

impl Rule for Reshape {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let kind = only(inputs)?;
        let known = !kind.shape.contains(&ANY);
        let count = kind.shape.iter().try_fold(1_i64, |all, dim| all.checked_mul(*dim)).unwrap_or(i64::MAX);
        let shape = if known { self.of(count)? } else { self.shape.clone() };
        Ok(vec![TensorType::new(kind.datatype, shape)])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let shape = self.of(dimension(Elements::of(tensor)?.len()))?;
        Ok(vec![Tensor { shape, ..tensor.clone() }])
    }
}
