//! From the outputs of a request's rows to a `ModelInferResponse`.

use bytes::{Bytes, BytesMut};
use torchmesh_api::inference::{ModelInferResponse, model_infer_response::InferOutputTensor};

use crate::{admission::Answered, manifest::TensorSpec, models::Model, tensor::Tensor};

/// Makes the answer to a tensor request; `wanted` are positions in `specs`, empty for all.
pub fn encode(model: &Model, specs: &[TensorSpec], id: String, wanted: &[usize], answered: Vec<Answered>) -> ModelInferResponse {
    encode_tensors(model, specs, id, wanted, merge(answered))
}

/// The same of tensors that are whole.
pub fn encode_tensors(model: &Model, specs: &[TensorSpec], id: String, wanted: &[usize], tensors: Vec<Tensor>) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: model.name.as_str().to_owned(),
        model_version: model.version_text.clone(),
        id,
        ..Default::default()
    };
    let mut add = |spec: &TensorSpec, tensor: Tensor| {
        response.outputs.push(InferOutputTensor {
            name: spec.name.clone(),
            datatype: tensor.datatype.name().to_owned(),
            shape: tensor.shape,
            ..Default::default()
        });
        response.raw_output_contents.push(tensor.data);
    };
    if wanted.is_empty() {
        specs.iter().zip(tensors).for_each(|(spec, tensor)| add(spec, tensor));
    } else {
        for &at in wanted {
            if let (Some(spec), Some(tensor)) = (specs.get(at), tensors.get(at)) {
                add(spec, tensor.clone());
            }
        }
    }
    response
}

/// Joins what ran in several batches; what ran in one is handed on without a copy.
fn merge(mut answered: Vec<Answered>) -> Vec<Tensor> {
    if answered.len() < 2 {
        return answered.pop().map(|only| only.outputs).unwrap_or_default();
    }
    let count = answered.iter().map(|answered| answered.outputs.len()).min().unwrap_or(0);
    (0..count).map(|at| join(answered.iter().map(|answered| &answered.outputs[at]))).collect()
}

fn join<'a>(tensors: impl Iterator<Item = &'a Tensor> + Clone) -> Tensor {
    let rows = tensors.clone().map(|tensor| tensor.shape.first().copied().unwrap_or(0)).sum();
    let mut data = BytesMut::with_capacity(tensors.clone().map(|tensor| tensor.data.len()).sum());
    tensors.clone().for_each(|tensor| data.extend_from_slice(&tensor.data));
    let mut joined = tensors.take(1).fold(None, |_, first| Some(first.clone())).unwrap_or_else(|| Tensor::from_f32s([0], &[]));
    joined.data = Bytes::from(data);
    if let Some(first) = joined.shape.first_mut() {
        *first = rows;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_in_several_batches_is_joined_in_order() {
        let piece = |first_row, values: &[f32]| Answered {
            part: 0,
            first_row,
            rows: values.len(),
            outputs: vec![Tensor::from_f32s([i64::try_from(values.len()).unwrap(), 1], values)],
        };
        let merged = merge(vec![piece(0, &[1.0, 2.0]), piece(2, &[3.0])]);
        assert_eq!(merged, [Tensor::from_f32s([3, 1], &[1.0, 2.0, 3.0])]);
    }
}
