//! `crop`: a part of each of some images, whose last two dimensions are height and width.

use torchmesh_api::tensor::Tensor;
use torchmesh_settings::Section;

use super::{Given, Rule, only, slice::Slice};
use crate::kind::TensorType;

/// `top`, `left`, `height` and `width`, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    rows: Slice,
    columns: Slice,
}

impl Crop {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let (top, left) = (s.or("top", 0), s.or("left", 0));
        let (height, width) = (s.required::<i64>("height"), s.required::<i64>("width"));
        for (key, value, least) in [("top", Some(top), 0), ("left", Some(left), 0), ("height", height, 1), ("width", width, 1)] {
            s.check(value.is_none_or(|value| (least..=1 << 20).contains(&value)), key, format!("must be from {least} to 1048576 pixels"));
        }
        let part = |axis, begin: i64, length: i64| Slice { axis, begin, end: Some(begin.saturating_add(length)) };
        Some(Self { rows: part(-2, top, height?), columns: part(-1, left, width?) })
    }
}

impl Rule for Crop {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        only(inputs)?;
        let rows = self.rows.infer(inputs)?;
        self.columns.infer(&rows.into_iter().map(|kind| (inputs[0].0.clone(), kind)).collect::<Vec<_>>())
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        only(inputs)?;
        let rows = self.rows.apply(inputs)?;
        self.columns.apply(&rows.into_iter().map(|tensor| (inputs[0].0.clone(), tensor)).collect::<Vec<_>>())
    }
}
