//! Weights on the device.

use tch::{Device, Kind, TchError, Tensor};

use super::int;
use crate::engine::language::{plan::NormKind, read};

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
    weight: Tensor,
    bias: Option<Tensor>,
}

/// A norm, which is computed in single precision.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    size: i64,
    epsilon: f64,
}

impl Place {
    /// Rounds on the way, so that no more goes over than stays.
    pub(super) fn upload(self, values: &[f32], shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(values)?.f_view(shape)?.f_to_kind(self.kind)?.f_to(self.device)
    }

    pub(super) fn upload_exactly(self, values: &[f32], shape: &[i64]) -> Result<Tensor, TchError> {
        Self { kind: Kind::Float, ..self }.upload(values, shape)
    }

    pub(super) fn linear(self, linear: &read::Linear) -> Result<Linear, TchError> {
        let columns = linear.bias.len();
        let weight = self.upload(&linear.weight, &[int(columns), int(linear.weight.len() / columns)])?;
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

impl Linear {
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
