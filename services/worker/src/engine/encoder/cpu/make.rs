//! From a checkpoint's weights to those that the kernels multiply.

use super::{
    super::{
        NetworkError,
        config::{EncoderConfig, Family},
        names::{self, Part},
        weights::Weights,
    },
    Layer, Norm,
};
use crate::engine::{
    kernels::{Simd, Weight},
    tensors,
};

/// What the layers are made of.
pub(super) struct Maker<'a> {
    pub(super) config: &'a EncoderConfig,
    pub(super) family: Family,
    pub(super) weights: &'a Weights,
    pub(super) simd: Simd,
    /// Whether weights are rounded to `BF16`.
    pub(super) brief: bool,
}

impl Maker<'_> {
    pub(super) fn layer(&self, index: usize) -> Result<Layer, NetworkError> {
        let (hidden, wide) = (self.config.hidden_size, self.config.intermediate_size);
        let name = |part: Part| names::of_layer(self.family, index, part);
        let one = |part: Part, from: i64, to: i64| self.one(&name(part), from, to);
        Ok(Layer {
            attend: self.attend(&name)?,
            attended: one(Part::Attended, hidden, hidden)?,
            attended_norm: self.norm(&name(Part::AttendedNorm), hidden)?,
            widen: one(Part::Widen, hidden, wide)?,
            narrow: one(Part::Narrow, wide, hidden)?,
            narrow_norm: self.norm(&name(Part::NarrowNorm), hidden)?,
        })
    }

    /// One layer.
    pub(super) fn one(&self, name: &str, from: i64, to: i64) -> Result<Weight, NetworkError> {
        Ok(self.pack(self.linear(name, from, to)?))
    }

    /// Query, key and value side by side; the query with attention's scale in it.
    fn attend(&self, name: &impl Fn(Part) -> String) -> Result<Weight, NetworkError> {
        let hidden = self.config.hidden_size;
        let scale = ((hidden / self.config.num_attention_heads) as f32).sqrt().recip();
        let (mut weight, mut bias) = self.linear(&name(Part::Query), hidden, hidden)?;
        weight.iter_mut().chain(&mut bias).for_each(|value| *value *= scale);
        for part in [Part::Key, Part::Value] {
            let (more, more_bias) = self.linear(&name(part), hidden, hidden)?;
            weight.extend(more);
            bias.extend(more_bias);
        }
        Ok(self.pack((weight, bias)))
    }

    fn pack(&self, (weight, bias): (Vec<f32>, Vec<f32>)) -> Weight {
        self.simd.pack(&weight, &bias, self.brief)
    }

    /// A layer's weight [to, from] and bias [to].
    fn linear(&self, name: &str, from: i64, to: i64) -> Result<(Vec<f32>, Vec<f32>), NetworkError> {
        Ok((self.get(&format!("{name}.weight"), &[to, from])?, self.get(&format!("{name}.bias"), &[to])?))
    }

    pub(super) fn norm(&self, name: &str, size: i64) -> Result<Norm, NetworkError> {
        let get = |part: &str| self.get(&format!("{name}.{part}"), &[size]);
        Ok(Norm { weight: get("weight")?, bias: get("bias")?, epsilon: self.config.layer_norm_eps as f32 })
    }

    fn get(&self, name: &str, shape: &[i64]) -> Result<Vec<f32>, NetworkError> {
        Ok(tensors::values(&self.weights.get(name, shape)?)?.to_vec())
    }
}
