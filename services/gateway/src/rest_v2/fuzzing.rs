//! What the fuzz target of this door holds it to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use bytes::Bytes;
use prost::Message as _;
use serde_json::value::RawValue;
use torchmesh_api::{
    frame,
    inference::{ModelInferRequest, ModelInferResponse, model_infer_response::InferOutputTensor},
};

use super::{
    assemble,
    datatype::Datatype,
    elements,
    request::{self, Asked, Plan},
    response,
};
use crate::body::Segments;

/// A body, its JSON part up to the first zero byte (which JSON has not) and the binary tensors behind it: what is taken is a message that a decoder
/// reads as the same, with as many bytes as the shapes say; and the tensors, answered as JSON, are read back bit for bit.
pub fn rest(body: &[u8]) {
    let json = body.split(|&byte| byte == 0).next().unwrap_or_default();
    let binary = Bytes::copy_from_slice(body.get(json.len() + 1..).unwrap_or_default());
    let Ok(Asked { message, tensors, plan }) = request::read(json, binary.into()) else { return };
    assert_eq!(message.inputs.len(), tensors.len());
    let framed = assemble::frame(&message, tensors.clone()).expect("it is short");
    let framed: Vec<u8> = framed.iter().flatten().copied().collect();
    let decoded = ModelInferRequest::decode(frame::message(framed.into()).expect("one whole message")).expect("a decoder reads it");
    let data: Vec<Bytes> = tensors.into_iter().map(Segments::into_bytes).collect();
    assert_eq!(decoded, ModelInferRequest { raw_input_contents: data, ..message });
    answered(&decoded, &plan);
}

fn answered(request: &ModelInferRequest, plan: &Plan) {
    for (input, data) in request.inputs.iter().zip(&request.raw_input_contents) {
        let datatype: Datatype = input.datatype.parse().expect("it was read");
        let elements: i64 = input.shape.iter().product();
        let size = datatype.element_size().map(|size| size * usize::try_from(elements).expect("it was counted"));
        assert!(size.is_none_or(|size| size == data.len()), "{input:?} has {} bytes", data.len());
        let Ok(json) = serde_json::to_string(&elements::AsJson(datatype, data)) else { continue };
        let raw = RawValue::from_string(json).expect("it was written");
        let Ok(again) = elements::from_json(datatype, usize::try_from(elements).expect("it was counted"), &raw) else { continue };
        let normal = if datatype == Datatype::Bool { data.iter().map(|&byte| u8::from(byte != 0)).collect() } else { data.clone() };
        assert_eq!(again, normal, "{datatype:?} as JSON: {raw}");
    }
    let outputs = request.inputs.iter().map(|input| InferOutputTensor {
        name: input.name.clone(),
        datatype: input.datatype.clone(),
        shape: input.shape.clone(),
        ..Default::default()
    });
    let raw_output_contents = request.raw_input_contents.clone();
    let Ok(written) = response::write(ModelInferResponse { outputs: outputs.collect(), raw_output_contents, ..Default::default() }, plan)
    else {
        return;
    };
    let mut whole = written.body;
    let json = whole.take(written.json_length.unwrap_or(whole.len())).expect("it is as long as it says").into_bytes();
    assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok(), "an answer is JSON");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_rest_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/rest"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::rest(&fs::read(seed).unwrap());
        }
    }
}
