//! Weights on the device.

use tch::{Device, Kind, TchError, Tensor};
use torchmesh_weights::{Element, TensorData};

use super::int;
use crate::engine::language::{
    LanguageError,
    plan::NormKind,
    read::{self, Matrices},
};

/// Where weights go, and what they are held in there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) device: Device,
}

/// A linear layer.
#[derive(Debug)]
pub(super) struct Linear {
    /// [out, in]
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

/// A norm, which is computed in single precision.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    size: i64,
    pub(super) epsilon: f64,
}

impl Place {
    /// Rounds on the way, so that no more goes over than stays.
    pub(super) fn upload(self, values: &[f32], shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(values)?.f_view(shape)?.f_to_kind(self.kind)?.f_to(self.device)
    }

    pub(super) fn upload_exactly(self, values: &[f32], shape: &[i64]) -> Result<Tensor, TchError> {
        Self { kind: Kind::Float, ..self }.upload(values, shape)
    }

    pub(super) fn linear(self, linear: &read::Linear<Tensor>) -> Result<Linear, TchError> {
        let columns = linear.bias.len();
        let weight = linear.weight.f_view([int(columns), -1])?;
        let has_bias = linear.bias.iter().any(|bias| *bias != 0.0);
        let bias = has_bias.then(|| self.upload(&linear.bias, &[int(columns)])).transpose()?;
        Ok(Linear { weight, bias })
    }

    pub(super) fn norm(self, norm: &read::Norm, kind: NormKind) -> Result<Norm, TchError> {
        let (NormKind::Root { epsilon, .. } | NormKind::Layer { epsilon }) = kind;
        let size = int(norm.weight.len());
        let bias = (!norm.bias.is_empty()).then(|| self.upload_exactly(&norm.bias, &[size])).transpose()?;
        Ok(Norm { weight: self.upload_exactly(&norm.weight, &[size])?, bias, size, epsilon })
    }
}

/// They go to the device as they are published, and are rounded there: a half of what single precision would take on the way.
impl Matrices for Place {
    type Matrix = Tensor;

    fn read(&self, tensor: &TensorData) -> Result<Tensor, LanguageError> {
        let count = tensor.shape.iter().product();
        let values = Tensor::f_from_data_size(&tensor.bytes, &[int(count)], kind_of(tensor.element))?;
        Ok(values.f_to(self.device)?.f_to_kind(self.kind)?)
    }

    fn join(&self, parts: Vec<Tensor>) -> Result<Tensor, LanguageError> {
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    fn split(&self, matrix: Tensor, at: usize) -> Result<(Tensor, Tensor), LanguageError> {
        let (at, all) = (int(at), int(matrix.numel()));
        Ok((matrix.f_narrow(0, 0, at)?, matrix.f_narrow(0, at, all - at)?))
    }

    fn scale(&self, matrix: Tensor, by: f32) -> Result<Tensor, LanguageError> {
        Ok(matrix.f_to_kind(Kind::Float)?.f_mul_scalar(f64::from(by))?.f_to_kind(self.kind)?)
    }

    fn turn(&self, matrix: Tensor, columns: usize) -> Result<Tensor, LanguageError> {
        Ok(matrix.f_view([-1, int(columns)])?.f_transpose(0, 1)?.f_contiguous()?.f_view([-1])?)
    }
}

pub(super) fn kind_of(element: Element) -> Kind {
    match element {
        Element::F32 => Kind::Float,
        Element::F16 => Kind::Half,
        Element::Bf16 => Kind::BFloat16,
    }
}

impl Linear {
    pub(super) fn columns(&self) -> i64 {
        *self.weight.size().first().unwrap_or(&0)
    }

    /// [rows, in] → [rows, out]
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        rows.f_linear(&self.weight, self.bias.as_ref())
    }
}

impl Norm {
    /// Of rows in single precision.
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        match &self.bias {
            Some(bias) => rows.f_layer_norm([self.size], Some(&self.weight), Some(bias), self.epsilon, false),
            None => rows.f_rms_norm([self.size], Some(&self.weight), self.epsilon),
        }
    }
}
