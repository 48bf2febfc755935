//! What goes from layer to layer.

use tch::{Kind, TchError, Tensor};

use super::{fused::Fused, weights::Norm};

/// The values of all rows of a step, [rows, hidden], in single precision.
#[derive(Debug)]
pub(super) struct Hidden<'a> {
    pub(super) values: Tensor,
    /// What is still to be added: it is, in the launch that reads them next.
    pending: Option<Tensor>,
    kind: Kind,
    fused: Option<&'a Fused>,
}

impl<'a> Hidden<'a> {
    pub(super) fn new(values: Tensor, kind: Kind, fused: Option<&'a Fused>) -> Self {
        Self { values, pending: None, kind, fused }
    }

    /// The norm of all rows, in the weights' format.
    pub(super) fn normed(&mut self, norm: &Norm) -> Result<Tensor, TchError> {
        match self.fused {
            Some(fused) => fused.add_norm(&self.values, self.pending.take().as_ref(), norm),
            None => norm.forward(&self.values)?.f_to_kind(self.kind),
        }
    }

    /// A half of a layer comes to its end: what it gives is added, normalised first where there is a norm.
    pub(super) fn add(&mut self, given: Tensor, norm: Option<&Norm>) -> Result<(), TchError> {
        match norm {
            Some(norm) => self.values.f_add_(&norm.forward(&given.f_to_kind(Kind::Float)?)?).map(drop),
            None if self.fused.is_some() => {
                self.pending = Some(given);
                Ok(())
            }
            None => self.values.f_add_(&given).map(drop),
        }
    }
}
