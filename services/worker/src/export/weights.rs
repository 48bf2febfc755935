//! The weights of a Hugging Face directory.

use std::collections::HashMap;
use std::path::Path;

use tch::{Kind, Tensor};

use super::ExportError;

/// Weights by name.
pub(super) struct Weights(HashMap<String, Tensor>);

impl Weights {
    /// Reads a safetensors file.
    pub(super) fn read(path: &Path) -> Result<Self, ExportError> {
        std::fs::File::open(path).map_err(|source| ExportError::File { path: path.to_owned(), source })?;
        Ok(Self(Tensor::read_safetensors(path)?.into_iter().collect()))
    }

    /// One weight in single precision. Checkpoints of a whole task model have the encoder's names behind `bert.`, so both are tried.
    pub(super) fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, ExportError> {
        let found = self.0.get(name).or_else(|| self.0.get(&format!("bert.{name}")));
        let tensor = found.ok_or_else(|| ExportError::Weights(format!("there is no tensor named {name}")))?;
        if tensor.size() != shape {
            return Err(ExportError::Weights(format!("{name} has the shape {:?}, not {shape:?}", tensor.size())));
        }
        Ok(tensor.f_to_kind(Kind::Float)?)
    }
}
