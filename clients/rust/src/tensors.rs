//! Tensors there and back, over the Open Inference Protocol.

use tonic::Status;
use torchmesh_api::{
    inference::{ModelInferRequest, ModelInferResponse, model_infer_request::InferInputTensor},
    tensor::{Datatype, Tensor, contents},
};

/// A request whose data is raw bytes.
pub(crate) fn request<N: Into<String>>(model: &str, inputs: impl IntoIterator<Item = (N, Tensor)>) -> ModelInferRequest {
    let mut request = ModelInferRequest { model_name: model.to_owned(), ..Default::default() };
    for (name, tensor) in inputs {
        let Tensor { datatype, shape, data } = tensor;
        request.inputs.push(InferInputTensor { name: name.into(), datatype: datatype.to_string(), shape, ..Default::default() });
        request.raw_input_contents.push(data);
    }
    request
}

/// The tensors of an answer, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// The version that answered.
    pub model_version: String,
    /// In the model's order.
    pub tensors: Vec<(String, Tensor)>,
}

impl Outputs {
    /// The output of this name.
    ///
    /// Error: NOT_FOUND, with the names that there are.
    pub fn get(&self, name: &str) -> Result<&Tensor, Status> {
        let found = self.tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let names = || self.tensors.iter().map(|(own, _)| own.as_str()).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| Status::not_found(format!("the answer has no output {name:?}; it has {}", names())))
    }

    /// Reads an answer, whether its data is raw or typed.
    pub(crate) fn read(answer: ModelInferResponse) -> Result<Self, Status> {
        let ModelInferResponse { model_version, outputs, raw_output_contents, .. } = answer;
        let mut raw = raw_output_contents.into_iter();
        let mut tensors = Vec::with_capacity(outputs.len());
        for output in outputs {
            let wrong = |what: String| Status::internal(format!("the answer's output {:?} cannot be read: {what}", output.name));
            let datatype: Datatype = output.datatype.parse().map_err(|error| wrong(format!("{error}")))?;
            let elements = elements(&output.shape).ok_or_else(|| wrong(format!("its shape is {:?}", output.shape)))?;
            let data = match (&output.contents, raw.next()) {
                (_, Some(data)) => contents::raw(datatype, elements, data),
                (Some(typed), None) => contents::typed(datatype, elements, typed),
                (None, None) => Err("it has no data".to_owned()),
            };
            let data = data.map_err(wrong)?;
            tensors.push((output.name, Tensor { datatype, shape: output.shape, data }));
        }
        Ok(Self { model_version, tensors })
    }
}

fn elements(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::inference::model_infer_response::InferOutputTensor;

    use super::*;

    fn answer(datatype: &str, shape: &[i64], raw: Option<&'static [u8]>) -> ModelInferResponse {
        let output = InferOutputTensor { name: "y".to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec(), ..Default::default() };
        ModelInferResponse { outputs: vec![output], raw_output_contents: raw.map(Into::into).into_iter().collect(), ..Default::default() }
    }

    #[test]
    fn what_is_sent_reads_back() {
        let tensor = Tensor::from_f32s([2, 1], &[1.5, -2.0]);
        let request = request("m", [("x", tensor.clone())]);
        assert_eq!((request.inputs[0].datatype.as_str(), &request.inputs[0].shape[..]), ("FP32", &[2, 1][..]));
        let mut answer = answer("FP32", &[2, 1], None);
        answer.raw_output_contents = request.raw_input_contents;
        let outputs = Outputs::read(answer).unwrap();
        assert_eq!(outputs.get("y").unwrap(), &tensor);
        assert!(outputs.get("z").unwrap_err().message().contains("it has y"));
    }

    #[test]
    fn an_answer_that_does_not_add_up_is_an_error() {
        for wrong in [
            answer("FP32", &[2], Some(&[0; 4])),
            answer("FP33", &[1], Some(&[0; 4])),
            answer("FP32", &[-1], Some(&[0; 4])),
            answer("FP32", &[i64::MAX, i64::MAX], Some(&[0; 4])),
            answer("FP32", &[1], None),
        ] {
            assert_eq!(Outputs::read(wrong).unwrap_err().code(), tonic::Code::Internal);
        }
    }
}
