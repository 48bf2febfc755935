//! From the mesh's answer to the body of ours: a JSON part, and behind it the outputs that are wanted as bytes.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Serialize;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{InferParameter, ModelInferResponse, infer_parameter::ParameterChoice, model_infer_response::InferOutputTensor},
};

use super::{
    classification,
    datatype::Datatype,
    elements,
    parameters::AsJson,
    request::{BINARY_SIZE, Manner, Plan},
};
use crate::body::Segments;

/// A body, and how long its JSON part is where it has another.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) json_length: Option<usize>,
    pub(super) body: Segments,
}

#[derive(Serialize)]
struct Header<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "no_parameters")]
    parameters: AsJson<'a>,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
    #[serde(skip_serializing_if = "no_parameters")]
    parameters: AsJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<elements::AsJson<'a>>,
}

fn no_parameters(parameters: &AsJson<'_>) -> bool {
    parameters.0.is_empty()
}

/// One output, ready to be written.
struct Ready {
    name: String,
    datatype: Datatype,
    shape: Vec<i64>,
    parameters: HashMap<String, InferParameter>,
    data: Bytes,
    binary: bool,
}

/// Writes an answer as the plan says. The binary outputs stay slices of the message that arrived.
///
/// Errors: InvalidArgument when an output cannot be written as was asked; Internal when the answer is not of the protocol's form.
pub(super) fn write(mut answer: ModelInferResponse, plan: &Plan) -> Result<Written, ApiError> {
    let (outputs, raw) = (std::mem::take(&mut answer.outputs), std::mem::take(&mut answer.raw_output_contents));
    if outputs.len() != raw.len() {
        return Err(ApiError::new(ErrorKind::Internal, "a worker answered with another number of tensors than it describes"));
    }
    let ready: Vec<_> = outputs.into_iter().zip(raw).map(|(output, data)| ready(output, data, plan)).collect::<Result<_, _>>()?;
    let header = Header {
        id: &answer.id,
        model_name: &answer.model_name,
        model_version: &answer.model_version,
        parameters: AsJson(&answer.parameters),
        outputs: ready.iter().map(described).collect(),
    };
    let json = serde_json::to_vec(&header)
        .map_err(|error| ApiError::new(ErrorKind::InvalidArgument, format!("an output cannot be written as JSON: {error}")))?;
    let json_length = ready.iter().any(|output| output.binary).then_some(json.len());
    let mut body = Segments::from(Bytes::from(json));
    ready.into_iter().filter(|output| output.binary).for_each(|output| body.push(output.data));
    Ok(Written { json_length, body })
}

fn ready(output: InferOutputTensor, data: Bytes, plan: &Plan) -> Result<Ready, ApiError> {
    let InferOutputTensor { name, datatype, shape, mut parameters, .. } = output;
    let datatype = datatype
        .parse::<Datatype>()
        .map_err(|_| ApiError::new(ErrorKind::Internal, "a worker answered with a tensor of an unknown datatype"))?;
    let Manner { binary, classes } = plan.outputs.get(&name).copied().unwrap_or(Manner { binary: plan.binary, classes: 0 });
    let (datatype, shape, data) = if classes > 0 {
        let (shape, found) = classification::highest(datatype, &shape, &data, classes)
            .map_err(|reason| ApiError::new(ErrorKind::InvalidArgument, format!("output {name:?}: {reason}")))?;
        (Datatype::Bytes, shape, found)
    } else {
        (datatype, shape, data)
    };
    if binary {
        let size = ParameterChoice::Int64Param(i64::try_from(data.len()).unwrap_or(i64::MAX));
        parameters.insert(BINARY_SIZE.to_owned(), InferParameter { parameter_choice: Some(size) });
    }
    Ok(Ready { name, datatype, shape, parameters, data, binary })
}

fn described(output: &Ready) -> Output<'_> {
    Output {
        name: &output.name,
        datatype: output.datatype.name(),
        shape: &output.shape,
        parameters: AsJson(&output.parameters),
        data: (!output.binary).then_some(elements::AsJson(output.datatype, &output.data)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn answer(outputs: &[(&str, &str, &[i64], &[u8])]) -> ModelInferResponse {
        let tensor = |&(name, datatype, shape, _): &(&str, &str, &[i64], &[u8])| InferOutputTensor {
            name: name.to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        ModelInferResponse {
            model_name: "m".to_owned(),
            model_version: "3".to_owned(),
            outputs: outputs.iter().map(tensor).collect(),
            raw_output_contents: outputs.iter().map(|&(.., data)| Bytes::copy_from_slice(data)).collect(),
            ..Default::default()
        }
    }

    fn plan(binary: bool, outputs: &[(&str, Manner)]) -> Plan {
        Plan { binary, outputs: outputs.iter().map(|&(name, manner)| (name.to_owned(), manner)).collect() }
    }

    #[test]
    fn each_output_goes_where_it_was_asked_to_go() {
        let answer = answer(&[("a", "INT16", &[2], &[1, 0, 2, 0]), ("b", "UINT8", &[3], b"xyz")]);
        let written = write(answer, &plan(false, &[("b", Manner { binary: true, classes: 0 })])).unwrap();
        let mut body = written.body;
        let json: Value = serde_json::from_slice(&body.take(written.json_length.unwrap()).unwrap().into_bytes()).unwrap();
        assert_eq!(
            json,
            json!({ "model_name": "m", "model_version": "3", "outputs": [
                { "name": "a", "datatype": "INT16", "shape": [2], "data": [1, 2] },
                { "name": "b", "datatype": "UINT8", "shape": [3], "parameters": { "binary_data_size": 3 } },
            ] })
        );
        assert_eq!(body.into_bytes(), "xyz");
    }

    #[test]
    fn without_binary_outputs_all_of_the_body_is_json() {
        let written = write(answer(&[("a", "BOOL", &[2], &[1, 0])]), &Plan::default()).unwrap();
        assert_eq!(written.json_length, None);
        let json: Value = serde_json::from_slice(&written.body.into_bytes()).unwrap();
        assert_eq!(json["outputs"][0]["data"], json!([true, false]));
    }

    #[test]
    fn a_class_is_a_text() {
        let data: Vec<u8> = [0.25_f32, 0.75].iter().flat_map(|value| value.to_le_bytes()).collect();
        let written =
            write(answer(&[("a", "FP32", &[1, 2], &data)]), &plan(false, &[("a", Manner { binary: false, classes: 1 })])).unwrap();
        let json: Value = serde_json::from_slice(&written.body.into_bytes()).unwrap();
        assert_eq!(json["outputs"][0], json!({ "name": "a", "datatype": "BYTES", "shape": [1, 1], "data": ["0.750000:1"] }));
    }

    #[test]
    fn what_json_cannot_carry_is_told_with_the_remedy() {
        let refused = write(answer(&[("a", "BYTES", &[1], b"\x01\0\0\0\xff")]), &Plan::default()).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
        assert!(refused.message.contains("binary_data"), "{refused}");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(at in 0..Datatype::ALL.len(), shape in proptest::collection::vec(-3_i64..9, 0..4),
            data in proptest::collection::vec(any::<u8>(), 0..50), binary in any::<bool>(), classes in 0_usize..4) {
            let answer = answer(&[("a", Datatype::ALL[at].name(), &shape, &data)]);
            let _ = write(answer, &plan(false, &[("a", Manner { binary, classes })]));
        }
    }
}
