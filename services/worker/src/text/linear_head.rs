//! A linear layer on top of a sentence encoder: what a classifier is that was trained on sentence vectors.

use std::{collections::HashMap, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::tensor::{Datatype, Tensor};

/// The metadata entry that holds the labels, as a JSON list.
const LABELS: &str = "labels";

/// `logits = vector × weightᵀ + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    /// The names of the outputs.
    pub labels: Vec<String>,
    /// A row of `dim` numbers for each label.
    pub weight: Vec<Vec<f32>>,
    /// A number for each label.
    pub bias: Vec<f32>,
}

impl LinearHead {
    /// Reads a safetensors file with `weight` (F32 [labels, dim]) and `bias` (F32 [labels]); its metadata may name the labels. The error is for the
    /// repository index.
    pub fn load(file: &Path) -> Result<Self, String> {
        let shown = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Self::parse(&bytes).map_err(|reason| format!("{shown}: {reason}"))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| format!("is not a safetensors file: {error}"))?;
        let (shape, weight) = floats(&tensors, "weight")?;
        let &[labels, dim] = shape.as_slice() else { return Err(format!("weight has the shape {shape:?}, not [labels, dim]")) };
        let (_, bias) = floats(&tensors, "bias")?;
        if bias.len() != labels || labels == 0 || dim == 0 {
            return Err(format!("bias has {} numbers for {labels} labels of {dim}", bias.len()));
        }
        let named = labels_of(bytes).unwrap_or_default();
        Ok(Self { labels: named, weight: weight.chunks_exact(dim).map(<[f32]>::to_vec).collect(), bias })
    }

    /// The labels that a file names; `None` when there is no such file or it makes no sense.
    pub fn labels_in(file: &Path) -> Option<Vec<String>> {
        labels_of(&std::fs::read(file).ok()?)
    }

    /// The bytes of a file that [`LinearHead::load`] reads; `facts` go into its metadata.
    pub fn to_bytes(&self, mut facts: HashMap<String, String>) -> Result<Vec<u8>, String> {
        let bytes = |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
        let (weight, bias) = (bytes(&mut self.weight.iter().flatten().copied()), bytes(&mut self.bias.iter().copied()));
        let dim = self.weight.first().map_or(0, Vec::len);
        let view = |shape: Vec<usize>, data| TensorView::new(Dtype::F32, shape, data).map_err(|error| error.to_string());
        let tensors = [("weight", view(vec![self.bias.len(), dim], &weight)?), ("bias", view(vec![self.bias.len()], &bias)?)];
        facts.insert(LABELS.to_owned(), serde_json::to_string(&self.labels).map_err(|error| error.to_string())?);
        safetensors::serialize(tensors, &Some(facts)).map_err(|error| error.to_string())
    }

    /// The logits of one vector.
    pub fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let dot = |weight: &Vec<f32>| weight.iter().zip(vector).map(|(weight, value)| f64::from(weight * value)).sum::<f64>();
        self.weight.iter().zip(&self.bias).map(|(weight, bias)| (dot(weight) + f64::from(*bias)) as f32).collect()
    }

    /// Logits (`FP32` [rows, labels]) of vectors (`FP32` [rows, dim]). The error says what does not fit.
    pub fn forward(&self, vectors: &Tensor) -> Result<Tensor, String> {
        let dim = self.weight.first().map_or(0, Vec::len);
        let (&[rows, width], Datatype::Fp32) = (vectors.shape.as_slice(), vectors.datatype) else {
            return Err(format!("the encoder gave {} {:?}, not vectors", vectors.datatype, vectors.shape));
        };
        if usize::try_from(width) != Ok(dim) {
            return Err(format!("the encoder gives vectors of {width}, and the head was made for {dim}"));
        }
        let values = vectors.to_f32s().unwrap_or_default();
        let logits: Vec<f32> = values.chunks_exact(dim.max(1)).flat_map(|vector| self.logits(vector)).collect();
        Ok(Tensor::from_f32s([rows, i64::try_from(self.bias.len()).unwrap_or(0)], &logits))
    }
}

fn labels_of(bytes: &[u8]) -> Option<Vec<String>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    serde_json::from_str(metadata.metadata().as_ref()?.get(LABELS)?).ok()
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    let found = tensors.tensor(name).map_err(|_| format!("there is no tensor named {name}"))?;
    if found.dtype() != Dtype::F32 {
        return Err(format!("{name} is not F32"));
    }
    Ok((found.shape().to_vec(), found.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> LinearHead {
        LinearHead {
            labels: vec!["ham".into(), "spam".into()],
            weight: vec![vec![1.0, 0.0, 2.0], vec![0.0, -1.0, 0.5]],
            bias: vec![0.25, 0.0],
        }
    }

    #[test]
    fn a_head_is_read_as_it_was_written_and_names_its_labels() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.safetensors");
        std::fs::write(&file, head().to_bytes(HashMap::new()).unwrap()).unwrap();
        assert_eq!(LinearHead::load(&file).unwrap(), head());
        assert_eq!(LinearHead::labels_in(&file), Some(head().labels));
    }

    #[test]
    fn every_vector_is_multiplied_and_another_width_is_refused() {
        let logits = head().forward(&Tensor::from_f32s([2, 3], &[1.0, 2.0, 3.0, 0.0, 0.0, 0.0])).unwrap();
        assert_eq!(logits, Tensor::from_f32s([2, 2], &[7.25, -0.5, 0.25, 0.0]));
        assert!(head().forward(&Tensor::from_f32s([1, 2], &[1.0, 2.0])).unwrap_err().contains("vectors of 2, and the head was made for 3"));
    }

    #[test]
    fn a_file_that_is_no_head_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("head.safetensors");
        assert!(LinearHead::load(&file).unwrap_err().contains("head.safetensors cannot be read"));
        for bad in [&b"nine times nine"[..], &head().to_bytes(HashMap::new()).unwrap()[..40]] {
            std::fs::write(&file, bad).unwrap();
            assert!(LinearHead::load(&file).unwrap_err().contains("is not a safetensors file"));
            assert_eq!(LinearHead::labels_in(&file), None);
        }
    }
}
