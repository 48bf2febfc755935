//! Builds the one message that a run sends.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use prost::Message as _;
use torchmesh_api::inference::{ModelInferRequest, model_infer_request::InferInputTensor};

/// One input tensor as the command line writes it: `NAME:DATATYPE:DIMS[:VALUES]`.
///
/// `DIMS` is like `1x32`. `VALUES` is a number that every element has (default 0), or `FIRST..END`, which counts up from `FIRST` and
/// begins again before `END`. The data types are `FP32`, `INT64` and `INT32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    name: String,
    datatype: DataType,
    shape: Vec<i64>,
    first: i32,
    count: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataType {
    Fp32,
    Int32,
    Int64,
}

impl DataType {
    fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
        }
    }

    fn append(self, value: i32, to: &mut Vec<u8>) {
        match self {
            // Exact up to 2^24, more than any vocabulary.
            Self::Fp32 => to.extend_from_slice(&(value as f32).to_le_bytes()),
            Self::Int32 => to.extend_from_slice(&value.to_le_bytes()),
            Self::Int64 => to.extend_from_slice(&i64::from(value).to_le_bytes()),
        }
    }
}

/// What is wrong with a [`TensorSpec`], in words for the person who typed it.
#[derive(Debug, PartialEq, Eq)]
pub struct SpecError(String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; write NAME:FP32|INT64|INT32:1x32[:VALUE or FIRST..END]", self.0)
    }
}

impl std::error::Error for SpecError {}

impl FromStr for TensorSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let fields: Vec<&str> = text.split(':').collect();
        let (name, datatype, dims, values) = match fields[..] {
            [name, datatype, dims] => (name, datatype, dims, "0"),
            [name, datatype, dims, values] => (name, datatype, dims, values),
            _ => return Err(SpecError(format!("`{text}` has {} fields", fields.len()))),
        };
        let (first, count) = parse_values(values).ok_or_else(|| SpecError(format!("values `{values}` are not a number or a range")))?;
        Ok(Self { name: name.to_owned(), datatype: parse_datatype(datatype)?, shape: parse_dims(dims)?, first, count })
    }
}

fn parse_datatype(text: &str) -> Result<DataType, SpecError> {
    [DataType::Fp32, DataType::Int32, DataType::Int64]
        .into_iter()
        .find(|datatype| datatype.name() == text)
        .ok_or_else(|| SpecError(format!("data type `{text}` is not known")))
}

fn parse_dims(text: &str) -> Result<Vec<i64>, SpecError> {
    text.split('x')
        .map(|dim| dim.parse().ok().filter(|dim| *dim > 0))
        .collect::<Option<Vec<i64>>>()
        .ok_or_else(|| SpecError(format!("dims `{text}` are not positive numbers joined by `x`")))
}

/// The first value, and how many there are before it begins again.
fn parse_values(text: &str) -> Option<(i32, i32)> {
    match text.split_once("..") {
        None => Some((text.parse().ok()?, 1)),
        Some((first, end)) => {
            let (first, end): (i32, i32) = (first.parse().ok()?, end.parse().ok()?);
            end.checked_sub(first).filter(|count| *count > 0).map(|count| (first, count))
        }
    }
}

impl TensorSpec {
    fn raw(&self) -> Bytes {
        let elements: i64 = self.shape.iter().product();
        let mut raw = Vec::new();
        let mut offset = 0;
        for _ in 0..elements {
            self.datatype.append(self.first + offset, &mut raw);
            offset = (offset + 1) % self.count;
        }
        raw.into()
    }

    fn header(&self) -> InferInputTensor {
        InferInputTensor {
            name: self.name.clone(),
            datatype: self.datatype.name().to_owned(),
            shape: self.shape.clone(),
            ..InferInputTensor::default()
        }
    }
}

/// An encoded `ModelInferRequest` for `model` with these inputs as raw contents, without the gRPC frame.
pub fn infer_request(model: &str, tensors: &[TensorSpec]) -> Vec<u8> {
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: tensors.iter().map(TensorSpec::header).collect(),
        raw_input_contents: tensors.iter().map(TensorSpec::raw).collect(),
        ..ModelInferRequest::default()
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kilobyte_of_the_shell_suite_is_a_kilobyte_and_a_short_header() {
        let spec: TensorSpec = "INPUT0:FP32:1x256".parse().unwrap();
        let message = infer_request("noop", &[spec]);
        assert!((1_024..1_080).contains(&message.len()), "{} bytes", message.len());
        let request = ModelInferRequest::decode(message.as_slice()).unwrap();
        assert_eq!(request.model_name, "noop");
        assert_eq!(request.inputs[0].shape, [1, 256]);
        assert_eq!(request.raw_input_contents[0].len(), 1_024);
    }

    #[test]
    fn a_range_counts_up_and_begins_again() {
        let spec: TensorSpec = "ids:INT64:2x2:7..10".parse().unwrap();
        let expected: Vec<u8> = [7_i64, 8, 9, 7].into_iter().flat_map(i64::to_le_bytes).collect();
        assert_eq!(spec.raw(), expected);
    }

    #[test]
    fn a_spec_that_makes_no_sense_says_which_field_is_wrong() {
        for (text, part) in
            [("x", "1 fields"), ("x:FP99:1", "FP99"), ("x:FP32:0x2", "0x2"), ("x:FP32:2:5..5", "5..5"), ("x:FP32:2:-9..2147483647", "-9..")]
        {
            let error = text.parse::<TensorSpec>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
