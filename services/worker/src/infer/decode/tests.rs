use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use torchmesh_api::inference::{
    InferTensorContents, ModelInferRequest,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

use super::*;
use crate::{
    metrics::WorkerMetrics,
    models::Intake,
    testing::{self, ECHO},
};

fn serving(manifest: &str) -> Serving {
    let manifest = Arc::new(Manifest::parse(manifest, &crate::manifest::Published::default()).unwrap());
    let metrics = WorkerMetrics::register(&mut Registry::default()).model("m", "1");
    let queue = testing::queue(&manifest, &metrics);
    Serving {
        outputs: manifest.outputs.clone(),
        manifest,
        platform: "fake",
        differentiates: false,
        artefact: Default::default(),
        queue,
        stats: Arc::default(),
        intake: Intake::Tensors,
    }
}

fn input(shape: &[i64]) -> InferInputTensor {
    InferInputTensor { name: "x".into(), datatype: "INT64".into(), shape: shape.into(), ..Default::default() }
}

fn good() -> ModelInferRequest {
    ModelInferRequest { inputs: vec![input(&[2, 3])], raw_input_contents: vec![Bytes::from(vec![1; 48])], ..Default::default() }
}

fn refused(change: impl FnOnce(&mut ModelInferRequest)) -> String {
    let mut request = good();
    change(&mut request);
    let error = decode(request, &serving(&format!("{ECHO}[queue]\nmax_rows = 4"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    error.message
}

#[test]
fn a_good_request_keeps_pointing_into_the_message() {
    let request = good();
    let place = request.raw_input_contents[0].as_ptr();
    let decoded = decode(request, &serving(ECHO)).unwrap();
    assert_eq!((decoded.part.rows, decoded.part.length), (2, 3));
    assert_eq!(decoded.part.inputs[0].data.as_ptr(), place);
}

#[test]
fn every_mistake_names_the_field_and_what_to_send() {
    type Change = Box<dyn FnOnce(&mut ModelInferRequest)>;
    let cases: Vec<(Change, &[&str])> = vec![
        (Box::new(|r| r.inputs[0].datatype = "FP32".into()), &["input \"x\": its datatype is \"FP32\"; send INT64"]),
        (Box::new(|r| r.inputs[0].shape = vec![6]), &["its shape is [6]; send [-1, -1]"]),
        (Box::new(|r| r.inputs[0].shape = vec![-2, -3]), &["its shape is [-2, -3]"]),
        (Box::new(|r| r.inputs[0].shape = vec![0, 3]), &["its shape is [0, 3]"]),
        (Box::new(|r| r.inputs[0].shape = vec![i64::MAX, i64::MAX]), &["larger than any message"]),
        (Box::new(|r| r.inputs[0].shape = vec![1 << 31, 1 << 31]), &["larger than any message"]),
        (Box::new(|r| r.inputs[0].shape = vec![2, 4]), &["has 48 bytes, and its shape and datatype say 64"]),
        (Box::new(|r| r.inputs.clear()), &["input \"x\" is missing"]),
        (Box::new(|r| r.inputs[0].name = "z".into()), &["input \"z\" is not an input of this model; it takes \"x\""]),
        (Box::new(|r| r.inputs.push(input(&[2, 3]))), &["input \"x\" is given twice"]),
        (Box::new(|r| r.raw_input_contents.push(Bytes::new())), &["raw_input_contents has 2 entries for 1 inputs"]),
        (Box::new(|r| r.raw_input_contents.clear()), &["it has no data"]),
        (
            Box::new(|r| r.inputs[0].contents = Some(InferTensorContents { int64_contents: vec![1], ..Default::default() })),
            &["data in contents beside raw_input_contents"],
        ),
        (
            Box::new(|r| {
                r.inputs[0].shape = vec![5, 1];
                r.raw_input_contents[0] = Bytes::from(vec![0; 40]);
            }),
            &["the request has 5 rows, and this model takes 4"],
        ),
        (
            Box::new(|r| r.outputs = vec![InferRequestedOutputTensor { name: "w".into(), ..Default::default() }]),
            &["output \"w\" is not an output", "gives y"],
        ),
        (Box::new(|r| r.outputs = vec![InferRequestedOutputTensor { name: "y".into(), ..Default::default() }; 2]), &["asked for twice"]),
        (
            Box::new(|r| {
                r.inputs[0].parameters.insert("shared_memory_region".into(), Default::default());
            }),
            &["shared memory is not supported"],
        ),
    ];
    for (change, parts) in cases {
        let message = refused(change);
        for part in parts {
            assert!(message.contains(part), "{part:?} is missing in {message:?}");
        }
    }
}

#[test]
fn a_long_name_is_not_sent_back_whole() {
    assert!(refused(|r| r.inputs[0].name = "n".repeat(1 << 20)).len() < 300);
}

#[test]
fn typed_contents_are_taken_as_well() {
    let mut request = good();
    request.raw_input_contents.clear();
    request.inputs[0].contents = Some(InferTensorContents { int64_contents: vec![1, 2, 3, 4, 5, 6], ..Default::default() });
    let decoded = decode(request, &serving(ECHO)).unwrap();
    assert_eq!(decoded.part.inputs[0].to_i64s(), Some(vec![1, 2, 3, 4, 5, 6]));
}

#[test]
fn inputs_come_out_in_the_models_order_whatever_the_callers() {
    let two = "task = 'tensor'\n[[inputs]]\nname = 'a'\ndatatype = 'INT8'\nshape = [-1]\n[[inputs]]\nname = 'b'\ndatatype = 'UINT8'\nshape = [-1]\n\
               [[outputs]]\nname = 'y'\ndatatype = 'INT8'\nshape = [-1]";
    let input = |name: &str, datatype: &str, rows| InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: vec![rows],
        ..Default::default()
    };
    let request = |rows| ModelInferRequest {
        inputs: vec![input("b", "UINT8", rows), input("a", "INT8", 1)],
        raw_input_contents: vec![Bytes::from(vec![2; usize::try_from(rows).unwrap()]), Bytes::from_static(&[1])],
        ..Default::default()
    };
    let decoded = decode(request(1), &serving(two)).unwrap();
    assert_eq!(decoded.part.inputs.iter().map(|input| input.data[0]).collect::<Vec<_>>(), [1, 2]);
    let error = decode(request(2), &serving(two)).unwrap_err();
    assert!(error.message.contains("input \"b\" has 2 rows and \"a\" has 1"), "{error}");
}

#[test]
fn requests_that_differ_where_nothing_is_padded_do_not_share_a_batch() {
    let open = "task = 'tensor'\n[[inputs]]\nname = 'x'\ndatatype = 'INT64'\nshape = [-1, -1]\n[[outputs]]\nname = 'y'\ndatatype = 'INT64'\nshape = [-1, -1]";
    let decoded = decode(good(), &serving(open)).unwrap();
    assert_eq!((&*decoded.part.shape, decoded.part.length), (&[3][..], 1));
}
