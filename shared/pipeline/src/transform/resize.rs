//! `resize`: images of another size, whose last two dimensions are height and width.

use bytes::BytesMut;
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, MOST_BYTES, Rule, only, product, too_large};
use crate::{
    element::{Number, dimension, numbers, put},
    kind::TensorType,
};

/// `height` and `width`, in pixels: bilinear between the centres of pixels, as PyTorch's `interpolate(mode="bilinear", align_corners=False)` has it. Whole numbers are
/// rounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resize {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Resize {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let (height, width) = (s.required::<usize>("height"), s.required::<usize>("width"));
        for (key, value) in [("height", height), ("width", width)] {
            s.check(value.is_none_or(|value| (1..=16_384).contains(&value)), key, "must be from 1 to 16384 pixels");
        }
        Some(Self { height: height?, width: width? })
    }

    fn shape(&self, from: &[i64]) -> Result<Vec<i64>, String> {
        let before = from.len().checked_sub(2).ok_or("takes images, whose last two dimensions are height and width")?;
        Ok([&from[..before], &[dimension(self.height), dimension(self.width)]].concat())
    }

    /// How many bytes images of this shape become. The error says that they are too many.
    fn bytes(&self, from: &Tensor) -> Result<usize, String> {
        let images = product(&from.shape[..from.shape.len().saturating_sub(2)]);
        let each =
            self.height.checked_mul(self.width).zip(from.datatype.element_size()).and_then(|(pixels, size)| pixels.checked_mul(size));
        each.and_then(|each| each.checked_mul(images)).filter(|bytes| *bytes <= MOST_BYTES).ok_or_else(too_large)
    }
}

/// The two pixels that a new one lies between, and how much of the second is in it.
fn between(to: usize, from: usize) -> Vec<(usize, usize, f64)> {
    let scale = from as f64 / to as f64;
    let place = |at: usize| {
        let centre = ((at as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (centre as usize).min(from - 1);
        (first, (first + 1).min(from - 1), centre - first as f64)
    };
    (0..to).map(place).collect()
}

impl Rule for Resize {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        let kind = only(inputs)?;
        if matches!(kind.datatype, Datatype::Bytes | Datatype::Bool) {
            return Err(format!("takes pixels, not {}", kind.datatype));
        }
        Ok(vec![TensorType::new(kind.datatype, self.shape(&kind.shape)?)])
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let tensor = only(inputs)?;
        let (shape, pixels) = (self.shape(&tensor.shape)?, numbers(tensor)?);
        let [.., height, width] = tensor.shape[..] else { return Err("takes images".to_owned()) };
        let (height, width) = (product(&[height]), product(&[width]));
        let size = height.checked_mul(width).ok_or("takes images with fewer pixels")?;
        if size == 0 {
            return Err("an image without pixels cannot be resized".to_owned());
        }
        let whole = matches!(pixels.first(), Some(Number::Whole(_)));
        let (rows, columns) = (between(self.height, height), between(self.width, width));
        let mut out = BytesMut::with_capacity(self.bytes(tensor)?);
        for image in pixels.chunks_exact(size) {
            for &(above, below, down) in &rows {
                for &(left, right, along) in &columns {
                    let row = |row: usize| image[row * width + left].real() * (1.0 - along) + image[row * width + right].real() * along;
                    let value = row(above) * (1.0 - down) + row(below) * down;
                    put(&mut out, tensor.datatype, Number::Real(if whole { value.round() } else { value }));
                }
            }
        }
        Ok(vec![Tensor { datatype: tensor.datatype, shape, data: out.freeze() }])
    }
}
