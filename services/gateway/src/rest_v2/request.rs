//! From the body of an inference request to the message for the mesh: the JSON part, and the binary tensors behind it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use torchmesh_api::inference::{
    ModelInferRequest,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

use super::{
    datatype::{self, Datatype},
    elements,
    parameters::Parameters,
};
use crate::{body::Segments, bounded::AtMost};

/// The most inputs, and the most outputs, of one request.
pub(crate) const MAX_TENSORS: usize = 1024;
/// The most dimensions of a tensor.
pub(crate) const MAX_DIMENSIONS: usize = 32;
/// Where an input says how many bytes of the binary part are its own.
pub(super) const BINARY_SIZE: &str = "binary_data_size";

/// A request that is understood; whether it fits its model is for the worker to say.
#[derive(Debug)]
pub(super) struct Asked {
    /// All but the model's name, its version and the tensors' data.
    pub(super) message: ModelInferRequest,
    /// The data of each input.
    pub(super) tensors: Vec<Segments>,
    /// How the answer is to be written.
    pub(super) plan: Plan,
}

/// How the answer is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// For outputs that do not say.
    pub(super) binary: bool,
    /// For those that do.
    pub(super) outputs: HashMap<String, Manner>,
}

/// How one output is to be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// Behind the JSON part instead of in it.
    pub(super) binary: bool,
    /// As the so many highest values with their places, instead of as a tensor; 0 is not so.
    pub(super) classes: usize,
}

#[derive(Deserialize)]
pub(crate) struct Header<'a> {
    #[serde(default)]
    id: String,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    inputs: AtMost<Input<'a>, MAX_TENSORS>,
    #[serde(default)]
    outputs: AtMost<Output, MAX_TENSORS>,
}

#[derive(Deserialize)]
struct Input<'a> {
    name: String,
    shape: AtMost<i64, MAX_DIMENSIONS>,
    #[serde(deserialize_with = "datatype::named")]
    datatype: Datatype,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Reads the JSON part of a body, and gives each input its bytes of the binary part.
///
/// The error names the field, what came, and what to send.
pub(super) fn read(json: &[u8], mut binary: Segments) -> Result<Asked, String> {
    let Header { id, mut parameters, inputs, outputs } =
        serde_json::from_slice(json).map_err(|error| format!("the JSON of the body cannot be read: {error}"))?;
    let mut plan = Plan { binary: parameters.take_bool("binary_data_output")?.unwrap_or(false), outputs: HashMap::new() };
    let mut message = ModelInferRequest { id, parameters: parameters.0, ..Default::default() };
    let mut tensors = Vec::with_capacity(inputs.0.len());
    for input in inputs.0 {
        let name = input.name.clone();
        let (described, data) = tensor(input, &mut binary).map_err(|reason| format!("input {:?}: {reason}", shown(&name)))?;
        message.inputs.push(described);
        tensors.push(data);
    }
    if !binary.is_empty() {
        return Err(format!(
            "{} bytes follow the tensors that the inputs announce by {BINARY_SIZE}; announce them or leave them out",
            binary.len()
        ));
    }
    for output in outputs.0 {
        let name = output.name.clone();
        message.outputs.push(requested(output, &mut plan).map_err(|reason| format!("output {:?}: {reason}", shown(&name)))?);
    }
    Ok(Asked { message, tensors, plan })
}

fn tensor(input: Input<'_>, binary: &mut Segments) -> Result<(InferInputTensor, Segments), String> {
    let Input { name, shape, datatype, mut parameters, data } = input;
    let elements = elements_of(&shape.0)?;
    let data = match (data, parameters.take_size(BINARY_SIZE)?) {
        (Some(_), Some(_)) => return Err(format!("it has data and {BINARY_SIZE}; send one of the two")),
        (Some(json), None) => elements::from_json(datatype, elements, json)?.into(),
        (None, Some(size)) => behind(size, datatype, elements, binary)?,
        (None, None) if parameters.0.keys().any(|key| key.starts_with("shared_memory")) => {
            return Err("shared memory cannot cross the mesh; send the data in the body".to_owned());
        }
        (None, None) => return Err(format!("it has no data; send data, or {BINARY_SIZE} in its parameters and the bytes behind the JSON")),
    };
    let described =
        InferInputTensor { name, datatype: datatype.name().to_owned(), shape: shape.0, parameters: parameters.0, ..Default::default() };
    Ok((described, data))
}

/// The next `size` bytes of the binary part.
fn behind(size: usize, datatype: Datatype, elements: usize, binary: &mut Segments) -> Result<Segments, String> {
    if let Some(want) = datatype.element_size().map(|each| each.saturating_mul(elements))
        && want != size
    {
        return Err(format!("{BINARY_SIZE} is {size}, and its shape and datatype say {want}"));
    }
    let left = binary.len();
    binary.take(size).ok_or_else(|| format!("{BINARY_SIZE} is {size}, and {left} bytes are left behind the JSON"))
}

fn elements_of(shape: &[i64]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(usize::try_from(length).ok()?));
    product.ok_or_else(|| format!("its shape is {shape:?}; send lengths from 0 whose product fits a message"))
}

fn requested(output: Output, plan: &mut Plan) -> Result<InferRequestedOutputTensor, String> {
    let Output { name, mut parameters } = output;
    if parameters.0.keys().any(|key| key.starts_with("shared_memory")) {
        return Err("shared memory cannot cross the mesh; ask for binary_data".to_owned());
    }
    let binary = parameters.take_bool("binary_data")?.unwrap_or(plan.binary);
    let classes = parameters.take_size("classification")?.unwrap_or(0);
    plan.outputs.insert(name.clone(), Manner { binary, classes });
    Ok(InferRequestedOutputTensor { name, parameters: parameters.0 })
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn refused(json: &str, binary: &'static [u8]) -> String {
        read(json.as_bytes(), Bytes::from_static(binary).into()).unwrap_err()
    }

    #[test]
    fn json_and_binary_inputs_may_be_mixed_and_the_fields_may_come_in_any_order() {
        let json = r#"{"outputs":[{"name":"o","parameters":{"binary_data":false}},{"name":"p"}],
            "inputs":[{"data":[[1],[2]],"datatype":"INT16","shape":[2,1],"name":"a"},
                      {"name":"b","shape":[3],"datatype":"UINT8","parameters":{"binary_data_size":3,"note":"x"}},
                      {"name":"c","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":5}}],
            "id":"7","parameters":{"binary_data_output":true,"priority":2}}"#;
        let asked = read(json.as_bytes(), Bytes::from_static(b"xyz\x01\0\0\0q").into()).unwrap();
        let data: Vec<_> = asked.tensors.into_iter().map(Segments::into_bytes).collect();
        assert_eq!(data, [&[1, 0, 2, 0][..], b"xyz", b"\x01\0\0\0q"]);
        assert_eq!(asked.message.id, "7");
        assert_eq!(asked.message.parameters.keys().collect::<Vec<_>>(), ["priority"]);
        assert_eq!(asked.message.inputs[1].parameters.keys().collect::<Vec<_>>(), ["note"]);
        assert_eq!(asked.plan.outputs["o"], Manner { binary: false, classes: 0 });
        assert_eq!(asked.plan.outputs["p"], Manner { binary: true, classes: 0 });
    }

    #[test]
    fn what_is_wrong_is_named_and_so_is_what_to_send() {
        let input = |rest: &str| format!(r#"{{"inputs":[{{"name":"a","shape":[2],"datatype":"INT16"{rest}}}]}}"#);
        for (json, binary, parts) in [
            (input(""), &b""[..], ["input \"a\"", "no data"]),
            (input(r#","parameters":{"shared_memory_region":"r"}"#), b"", ["input \"a\"", "shared memory"]),
            (input(r#","data":[1,2],"parameters":{"binary_data_size":4}"#), b"1234", ["input \"a\"", "one of the two"]),
            (input(r#","parameters":{"binary_data_size":3}"#), b"123", ["input \"a\"", "say 4"]),
            (input(r#","parameters":{"binary_data_size":4}"#), b"123", ["input \"a\"", "3 bytes are left"]),
            (input(r#","data":[1,2]"#), b"123", ["3 bytes follow", "binary_data_size"]),
            (input(r#","data":[1]"#), b"", ["has 1 elements", "shape says 2"]),
            (r#"{"inputs":[{"name":"a","shape":[-1],"datatype":"INT16","data":[]}]}"#.to_owned(), b"", ["[-1]", "lengths from 0"]),
            (r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FLOAT","data":[1]}]}"#.to_owned(), b"", ["\"FLOAT\"", "FP32"]),
            (r#"{"id":"x"}"#.to_owned(), b"", ["cannot be read", "inputs"]),
            ("[".to_owned(), b"", ["cannot be read", "EOF"]),
        ] {
            let message = refused(&json, binary);
            assert!(parts.iter().all(|part| message.contains(part)), "{json}: {message}");
        }
    }

    #[test]
    fn a_shape_larger_than_any_message_takes_no_memory() {
        let json = r#"{"inputs":[{"name":"a","shape":[9223372036854775807,9],"datatype":"FP64","data":[1]}]}"#;
        assert!(refused(json, b"").contains("product fits"));
        let json = r#"{"inputs":[{"name":"a","shape":[1000000000000],"datatype":"FP64","data":[1]}]}"#;
        assert!(refused(json, b"").contains("has 1 elements"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in proptest::collection::vec(any::<u8>(), 0..200), binary in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = read(&json, Bytes::from(binary).into());
        }

        #[test]
        fn no_json_of_the_right_kind_makes_it_panic(
            shape in "(-?[0-9]{1,20}(,[0-9]{1,20}){0,3})?", at in 0..Datatype::ALL.len(), size in "-?[0-9]{1,20}",
            data in r#"[\[\]",0-9a.e-]{0,20}"#, binary in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let datatype = Datatype::ALL[at].name();
            for rest in [format!(r#""data":[{data}]"#), format!(r#""parameters":{{"binary_data_size":{size}}}"#)] {
                let json = format!(r#"{{"inputs":[{{"name":"a","shape":[{shape}],"datatype":"{datatype}",{rest}}}]}}"#);
                let _ = read(json.as_bytes(), Bytes::from(binary.clone()).into());
            }
        }
    }
}
