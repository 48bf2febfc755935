//! Between the protocol's messages and tensors: what callers send and get, and what steps send and get. A tensor's bytes are those that arrived.

use std::{collections::VecDeque, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{
        InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
        infer_parameter::ParameterChoice,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
        model_infer_response::InferOutputTensor,
    },
    peek,
    tensor::{Datatype, Tensor, contents},
};
use torchmesh_pipeline::{TensorType, kind::Named, run::Call, spec::Parameter};

use crate::registry::shown;

/// The field of a request that has the tensors' bytes.
const RAW_INPUTS: u32 = 7;
/// A tensor of at least so many bytes goes out by itself, uncopied.
const LARGE: usize = 16 << 10;

/// The inputs of a call, in the order of the pipeline's. The error names the input, what came, and what to send.
pub fn inputs(request: &mut ModelInferRequest, wanted: &[Named]) -> Result<Vec<Tensor>, ApiError> {
    read_inputs(request, wanted).map_err(|message| ApiError::new(ErrorKind::InvalidArgument, message))
}

fn read_inputs(request: &mut ModelInferRequest, wanted: &[Named]) -> Result<Vec<Tensor>, String> {
    let raw = !request.raw_input_contents.is_empty();
    let (given, data) = (request.inputs.len(), request.raw_input_contents.len());
    if raw && given != data {
        return Err(format!("raw_input_contents has {data} entries for {given} inputs; send one for each input, in their order"));
    }
    if let Some(other) = request.inputs.iter().find(|input| !wanted.iter().any(|wanted| wanted.name == input.name)) {
        let names = torchmesh_pipeline::kind::names(wanted);
        return Err(format!("input \"{}\" is not an input of this pipeline; it takes {names}", shown(&other.name)));
    }
    let mut inputs = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let mut places = request.inputs.iter().enumerate().filter(|(_, input)| input.name == wanted.name).map(|(at, _)| at);
        let (at, twice) = (places.next(), places.next());
        let at = at.ok_or_else(|| format!("input \"{}\" is missing; send {}", wanted.name, wanted.kind))?;
        if twice.is_some() {
            return Err(format!("input \"{}\" is there twice; send it once", wanted.name));
        }
        let data = raw.then(|| std::mem::take(&mut request.raw_input_contents[at]));
        let InferInputTensor { datatype, shape, contents, .. } = std::mem::take(&mut request.inputs[at]);
        // Its name is still looked for by the others.
        request.inputs[at].name.clone_from(&wanted.name);
        let tensor = tensor(&datatype, shape, data, contents).map_err(|reason| format!("input \"{}\": {reason}", wanted.name))?;
        let kind = TensorType::of(&tensor);
        if !wanted.kind.takes(&kind) {
            return Err(format!("input \"{}\" is {kind}; send {}, where -1 is any length", wanted.name, wanted.kind));
        }
        inputs.push(tensor);
    }
    Ok(inputs)
}

fn tensor(datatype: &str, shape: Vec<i64>, raw: Option<Bytes>, typed: Option<InferTensorContents>) -> Result<Tensor, String> {
    let datatype: Datatype = datatype.parse().map_err(|error| format!("{error}"))?;
    let mut tensor = Tensor { datatype, shape, data: Bytes::new() };
    let elements = tensor.elements().filter(|_| is_countable(&tensor.shape)).ok_or("its shape is no shape of a tensor")?;
    tensor.data = match (raw, typed) {
        (Some(data), _) => contents::raw(datatype, elements, data)?,
        (None, Some(typed)) => contents::typed(datatype, elements, &typed)?,
        (None, None) => return Err("it has no data; send it in raw_input_contents or in contents".to_owned()),
    };
    Ok(tensor)
}

/// Whether any of its dimensions can be multiplied with each other: one of no length hides nothing.
fn is_countable(shape: &[i64]) -> bool {
    let all = shape.iter().try_fold(1_i64, |all, dim| all.checked_mul((*dim).max(1)));
    all.is_some_and(|all| usize::try_from(all).is_ok())
}

/// Which of a pipeline's outputs a call asks for, as their positions; all of them where it names none.
pub fn wanted(request: &ModelInferRequest, outputs: &[Named]) -> Result<Vec<usize>, ApiError> {
    let find = |asked: &InferRequestedOutputTensor| {
        outputs.iter().position(|output| output.name == asked.name).ok_or_else(|| {
            let names = torchmesh_pipeline::kind::names(outputs);
            let message = format!("output \"{}\" is not an output of this pipeline; it gives {names}", shown(&asked.name));
            ApiError::new(ErrorKind::InvalidArgument, message)
        })
    };
    if request.outputs.is_empty() { Ok((0..outputs.len()).collect()) } else { request.outputs.iter().map(find).collect() }
}

/// The answer to a call.
pub fn response(name: &str, version: String, id: String, outputs: impl IntoIterator<Item = (String, Tensor)>) -> ModelInferResponse {
    let mut response = ModelInferResponse { model_name: name.to_owned(), model_version: version, id, ..Default::default() };
    for (name, Tensor { datatype, shape, data }) in outputs {
        response.outputs.push(InferOutputTensor { name, datatype: datatype.name().to_owned(), shape, ..Default::default() });
        response.raw_output_contents.push(data);
    }
    response
}

/// What a step sends, framed, in as many pieces as it takes to copy no large tensor.
pub fn question(call: &Call<'_>) -> VecDeque<Bytes> {
    let input = |(name, tensor): &(Arc<str>, Tensor)| InferInputTensor {
        name: name.to_string(),
        datatype: tensor.datatype.name().to_owned(),
        shape: tensor.shape.clone(),
        ..Default::default()
    };
    let head = ModelInferRequest {
        model_name: call.target.model.to_string(),
        model_version: call.target.version.map(|version| version.to_string()).unwrap_or_default(),
        inputs: call.inputs.iter().map(input).collect(),
        parameters: call.parameters.iter().map(|(name, value)| (name.clone(), parameter(value))).collect(),
        outputs: call.outputs.iter().map(|name| InferRequestedOutputTensor { name: name.to_string(), ..Default::default() }).collect(),
        ..Default::default()
    };
    // Key, length and bytes of each; the key of so low a field is one byte.
    let field = |(_, tensor): &(Arc<str>, Tensor)| 1 + encoded_len_varint(tensor.data.len() as u64) + tensor.data.len();
    let length = head.encoded_len() + call.inputs.iter().map(field).sum::<usize>();
    let small: usize = call.inputs.iter().map(|(_, tensor)| if tensor.data.len() < LARGE { tensor.data.len() } else { 0 }).sum();
    let mut piece = BytesMut::with_capacity(peek::PREFIX + head.encoded_len() + small + 16 * call.inputs.len());
    piece.put_u8(0);
    piece.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // The buffer grows as needed, so there is always room.
    let _ = head.encode(&mut piece);
    let mut pieces = VecDeque::new();
    for (_, tensor) in call.inputs {
        encode_key(RAW_INPUTS, WireType::LengthDelimited, &mut piece);
        encode_varint(tensor.data.len() as u64, &mut piece);
        if tensor.data.len() < LARGE {
            piece.extend_from_slice(&tensor.data);
        } else {
            pieces.push_back(std::mem::take(&mut piece).freeze());
            pieces.push_back(tensor.data.clone());
        }
    }
    if !piece.is_empty() {
        pieces.push_back(piece.freeze());
    }
    pieces
}

fn parameter(value: &Parameter) -> InferParameter {
    let choice = match value {
        Parameter::Flag(flag) => ParameterChoice::BoolParam(*flag),
        Parameter::Whole(whole) => ParameterChoice::Int64Param(*whole),
        Parameter::Real(real) => ParameterChoice::DoubleParam(*real),
        Parameter::Text(text) => ParameterChoice::StringParam(text.clone()),
    };
    InferParameter { parameter_choice: Some(choice) }
}

/// What a step gets, in the order in which it asked.
pub fn answer(message: Bytes, call: &Call<'_>) -> Result<Vec<Tensor>, ApiError> {
    let wrong = |what: &str| ApiError::new(ErrorKind::Internal, format!("{} answered {what}", call.target));
    let mut response = ModelInferResponse::decode(message).map_err(|_| wrong("with a message of another form"))?;
    let raw = !response.raw_output_contents.is_empty();
    let mut outputs = Vec::with_capacity(call.outputs.len());
    for name in call.outputs {
        let at = response.outputs.iter().position(|output| *output.name == **name).ok_or_else(|| wrong(&format!("without {name:?}")))?;
        let data = if raw { Some(response.raw_output_contents.get(at).cloned().unwrap_or_default()) } else { None };
        let output = &mut response.outputs[at];
        let (shape, typed) = (std::mem::take(&mut output.shape), output.contents.take());
        outputs.push(tensor(&output.datatype, shape, data, typed).map_err(|_| wrong(&format!("with a {name:?} that is not whole")))?);
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use torchmesh_api::frame;

    use torchmesh_pipeline::spec::StepCache;

    use super::*;

    fn named(name: &str, datatype: Datatype, shape: &[i64]) -> Named {
        Named::new(name, TensorType::new(datatype, shape))
    }

    #[test]
    fn a_step_sends_what_the_protocols_own_encoder_would() {
        let tensors = [Tensor::from_i64s([2], &[1, 2]), Tensor::from_f32s([5000], &vec![1.5; 5000]), Tensor::from_i64s([1], &[3])];
        let inputs: Vec<(Arc<str>, Tensor)> = ["a", "b", "c"].into_iter().map(Arc::from).zip(tensors).collect();
        let (target, outputs) = ("spam@3".parse().unwrap(), ["y".into()]);
        let parameters = [("max_tokens".to_owned(), Parameter::Whole(7))];
        let call = Call {
            step: "s",
            target: &target,
            inputs: &inputs,
            parameters: &parameters,
            outputs: &outputs,
            cache: StepCache::default(),
            attempt: 1,
            deadline: Instant::now(),
        };
        let pieces = question(&call);
        assert_eq!(pieces.len(), 3, "the large tensor goes by itself");
        let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
        let mut request = ModelInferRequest::decode(frame::message(whole.into()).unwrap()).unwrap();
        assert_eq!((request.model_name.as_str(), request.model_version.as_str(), request.outputs[0].name.as_str()), ("spam", "3", "y"));
        assert_eq!(request.parameters["max_tokens"].parameter_choice, Some(ParameterChoice::Int64Param(7)));
        let wanted = [named("c", Datatype::Int64, &[1]), named("b", Datatype::Fp32, &[-1]), named("a", Datatype::Int64, &[2])];
        let read = super::inputs(&mut request, &wanted).unwrap();
        assert_eq!(read, [inputs[2].1.clone(), inputs[1].1.clone(), inputs[0].1.clone()]);
    }

    #[test]
    fn an_input_that_does_not_fit_is_named_with_what_to_send() {
        let input = |name: &str, shape: &[i64]| InferInputTensor {
            name: name.to_owned(),
            datatype: "FP32".to_owned(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        let request = |inputs: Vec<InferInputTensor>, bytes: usize| ModelInferRequest {
            raw_input_contents: vec![Bytes::from(vec![0; bytes]); inputs.len()],
            inputs,
            ..Default::default()
        };
        let wanted = [named("x", Datatype::Fp32, &[-1, 2])];
        for (mut request, part) in [
            (request(vec![], 0), "input \"x\" is missing; send FP32 [-1, 2]"),
            (request(vec![input("y", &[1])], 4), "input \"y\" is not an input of this pipeline; it takes x"),
            (request(vec![input("x", &[1, 2]), input("x", &[1, 2])], 8), "input \"x\" is there twice"),
            (request(vec![input("x", &[1, 3])], 12), "input \"x\" is FP32 [1, 3]; send FP32 [-1, 2]"),
            (request(vec![input("x", &[1, 2])], 4), "input \"x\": its raw data has 4 bytes"),
            (request(vec![input("x", &[0, 1 << 32, 1 << 32])], 0), "input \"x\": its shape is no shape of a tensor"),
        ] {
            let error = super::inputs(&mut request, &wanted).unwrap_err();
            assert!(error.kind == ErrorKind::InvalidArgument && error.message.contains(part), "{error}");
        }
    }
}
