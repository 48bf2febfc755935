use bytes::Bytes;
use tonic::Code;
use torchmesh_api::inference::{
    InferParameter, ModelInferRequest, ModelMetadataRequest,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
};

use super::{Worker, text_tasks::classifier};

fn texts(model: &str, all: &[&[u8]]) -> ModelInferRequest {
    let shape = vec![i64::try_from(all.len()).unwrap()];
    let data = all.iter().flat_map(|text| [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text].concat());
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![InferInputTensor { name: "text".into(), datatype: "BYTES".into(), shape, ..Default::default() }],
        raw_input_contents: vec![data.collect()],
        ..Default::default()
    }
}

fn floats(data: &Bytes) -> Vec<f32> {
    data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[tokio::test]
async fn texts_are_sent_in_place_of_tokens_and_labels_or_vectors_come() {
    let worker = Worker::start(classifier).await;
    let asked = ModelInferRequest { id: "q".into(), ..texts("classify", &[b"a", b"b b"]) };
    let answer = worker.oip().model_infer(asked).await.unwrap().into_inner();
    assert_eq!((answer.model_version.as_str(), answer.id.as_str()), ("1", "q"));
    let shapes: Vec<_> = answer.outputs.iter().map(|output| (output.name.as_str(), output.shape.as_slice())).collect();
    assert_eq!(shapes, [("label", &[2, 2][..]), ("score", &[2, 2])]);
    assert_eq!(&answer.raw_output_contents[0][..15], b"\x04\0\0\0high\x03\0\0\0low");
    assert_eq!(floats(&answer.raw_output_contents[1]), [3.0, -2.0, 3.75, -2.75]);
    let mut best = texts("classify", &[b"a"]);
    best.parameters.insert("top_k".into(), InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(1)) });
    best.outputs = vec![InferRequestedOutputTensor { name: "score".into(), ..Default::default() }];
    let best = worker.oip().model_infer(best).await.unwrap().into_inner();
    assert_eq!((best.outputs[0].shape.as_slice(), floats(&best.raw_output_contents[0])), (&[1, 1][..], vec![3.0]));
    let vectors = worker.oip().model_infer(texts("embed", &[b"a", b"b"])).await.unwrap();
    assert!(vectors.metadata().get("x-torchmesh-usage").is_some_and(|usage| usage.to_str().unwrap().contains("items=2")), "{vectors:?}");
    assert_eq!((vectors.get_ref().outputs[0].name.as_str(), vectors.get_ref().outputs[0].shape[0]), ("embedding", 2));
}

#[tokio::test]
async fn a_model_says_what_it_takes_in_place_of_its_tensors() {
    let worker = Worker::start(classifier).await;
    let about = async |name: &str| {
        let question = ModelMetadataRequest { name: name.to_owned(), ..Default::default() };
        worker.oip().model_metadata(question).await.unwrap().into_inner()
    };
    let described = about("classify").await;
    assert_eq!(described.inputs[0].name, "input_ids", "its tensors are its inputs as before");
    assert_eq!(described.properties["content_inputs"], r#"[{"name":"text","datatype":"BYTES","shape":[-1]}]"#);
    assert!(described.properties["content_outputs"].contains(r#"{"name":"score","datatype":"FP32","shape":[-1,-1]}"#), "{described:?}");
    assert!(!about("echo").await.properties.contains_key("content_inputs"));
}

#[tokio::test]
async fn every_mistake_in_texts_says_what_to_send() {
    let worker = Worker::start(classifier).await;
    let change = |change: fn(&mut ModelInferRequest)| {
        let mut request = texts("classify", &[b"a"]);
        change(&mut request);
        request
    };
    let cases = [
        (texts("classify", &[b"a", b"\xff"]), "input \"text\": element 1 is not UTF-8"),
        (change(|request| request.inputs[0].datatype = "FP32".into()), "input \"text\": its datatype is \"FP32\"; send BYTES"),
        (change(|request| request.inputs[0].shape = vec![1, 1]), "input \"text\": its shape is [1, 1]; send [-1]"),
        (change(|request| request.inputs.push(InferInputTensor::default())), "is not an input of this model; it takes \"text\""),
        (
            change(|request| request.outputs = vec![InferRequestedOutputTensor { name: "logits".into(), ..Default::default() }]),
            "output \"logits\" is not an output of this model; it gives label, score",
        ),
        (
            change(|request| {
                drop(
                    request.parameters.insert("top_k".into(), InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) }),
                );
            }),
            "parameters[top_k]: send a whole number",
        ),
    ];
    for (request, part) in cases {
        let status = worker.oip().model_infer(request).await.unwrap_err();
        assert!(status.code() == Code::InvalidArgument && status.message().contains(part), "{part:?} is missing in {status:?}");
    }
}
