//! The weights of a Hugging Face directory.

use std::collections::HashMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::NetworkError;

/// What stands before an encoder's names in the checkpoint of a whole task model.
const PREFIXES: [&str; 7] = ["", "bert.", "roberta.", "distilbert.", "mpnet.", "electra.", "albert."];

/// Weights by name, in one number format.
pub(crate) struct Weights {
    tensors: HashMap<String, Tensor>,
    device: Device,
    kind: Kind,
}

/// A norm's weights in checkpoints that come from TensorFlow have its names.
fn renamed(name: String) -> String {
    let new = |old: &str, new: &str| name.strip_suffix(old).map(|norm| format!("{norm}{new}"));
    new("LayerNorm.gamma", "LayerNorm.weight").or_else(|| new("LayerNorm.beta", "LayerNorm.bias")).unwrap_or(name)
}

impl Weights {
    /// Reads a safetensors file; its weights go to `device` when they are asked for, in single precision.
    pub(crate) fn read(path: &Path, device: Device) -> Result<Self, NetworkError> {
        Self::read_as(path, device, Kind::Float)
    }

    /// The same, in the format `kind`.
    pub(crate) fn read_as(path: &Path, device: Device, kind: Kind) -> Result<Self, NetworkError> {
        std::fs::File::open(path).map_err(|source| NetworkError::File { path: path.to_owned(), source })?;
        let tensors = Tensor::read_safetensors(path)?.into_iter().map(|(name, tensor)| (renamed(name), tensor)).collect();
        Ok(Self { tensors, device, kind })
    }

    /// One weight of the given shape.
    pub(crate) fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, NetworkError> {
        self.first(&[name.to_owned()], shape)
    }

    /// The first of `names` that there is, of the given shape.
    pub(crate) fn first(&self, names: &[String], shape: &[i64]) -> Result<Tensor, NetworkError> {
        let mut prefixed = names.iter().flat_map(|name| PREFIXES.iter().map(move |prefix| (name, format!("{prefix}{name}"))));
        let found = prefixed.find_map(|(name, full)| Some((name, self.tensors.get(&full)?)));
        let (name, tensor) = found.ok_or_else(|| NetworkError::Weights(format!("there is no tensor named {}", names.join(" or "))))?;
        if tensor.size() != shape {
            return Err(NetworkError::Weights(format!("{name} has the shape {:?}, not {shape:?}", tensor.size())));
        }
        Ok(tensor.f_to_kind(self.kind)?.f_to(self.device)?)
    }
}
