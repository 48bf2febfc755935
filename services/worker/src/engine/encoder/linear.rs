//! A linear layer by whichever kernel is faster here.

use tch::{TchError, Tensor};

use super::{NetworkError, weights::Weights};
use crate::engine::kernels::{self, Activation, Packed};

/// `activation(input × weightᵀ + bias)`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Weight,
    bias: Tensor,
    activation: Activation,
}

#[derive(Debug)]
enum Weight {
    Plain(Tensor),
    Packed(Packed),
}

/// A layer as the checkpoint has it.
pub(super) struct Parts {
    weight: Tensor,
    bias: Tensor,
}

impl Parts {
    pub(super) fn read(weights: &Weights, name: &str, from: i64, to: i64) -> Result<Self, NetworkError> {
        Ok(Self { weight: weights.get(&format!("{name}.weight"), &[to, from])?, bias: weights.get(&format!("{name}.bias"), &[to])? })
    }

    pub(super) fn of(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    /// One layer whose output is that of `parts`, one after the other: one wide matrix multiplies faster than three narrow ones.
    pub(super) fn beside(parts: &[Self]) -> Result<Self, TchError> {
        let join = |pick: fn(&Self) -> &Tensor| Tensor::f_cat(&parts.iter().map(pick).collect::<Vec<_>>(), 0);
        Ok(Self { weight: join(|part| &part.weight)?, bias: join(|part| &part.bias)? })
    }

    /// The layer, with its weight packed if that is faster here.
    pub(super) fn layer(self, activation: Activation, packs: bool) -> Result<Linear, TchError> {
        let weight = if packs { Weight::Packed(kernels::pack(&self.weight)?) } else { Weight::Plain(self.weight) };
        Ok(Linear { weight, bias: self.bias, activation })
    }
}

impl Linear {
    /// [rows, in] → [rows, out]
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        match &self.weight {
            Weight::Plain(weight) => self.activation.apply(input.f_linear(weight, Some(&self.bias))?),
            Weight::Packed(packed) => kernels::linear(input, packed, &self.bias, self.activation),
        }
    }
}
