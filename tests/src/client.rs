//! The generated clients, and the requests that tests make with them.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use torchmesh_api::{
    audio::v1::audio_service_client::AudioServiceClient,
    inference::{
        ModelInferRequest, ModelInferResponse, grpc_inference_service_client::GrpcInferenceServiceClient,
        model_infer_request::InferInputTensor,
    },
    text::v1::{EmbedRequest, generation_service_client::GenerationServiceClient, text_service_client::TextServiceClient},
    vision::v1::vision_service_client::VisionServiceClient,
};

use crate::KEY;

/// Larger than anything that a test sends.
const MAX_MESSAGE: usize = 256 << 20;

/// Adds the key to every call.
#[derive(Debug, Clone, Copy)]
pub struct WithKey;

impl Interceptor for WithKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {KEY}")).map_err(|_| Status::internal("the key is no header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// A client of the Open Inference Protocol.
pub type Inference = GrpcInferenceServiceClient<InterceptedService<Channel, WithKey>>;
/// A client of the text API.
pub type Text = TextServiceClient<InterceptedService<Channel, WithKey>>;
/// A client of language models.
pub type Generation = GenerationServiceClient<InterceptedService<Channel, WithKey>>;
/// A client of the vision API.
pub type Vision = VisionServiceClient<InterceptedService<Channel, WithKey>>;
/// A client of the audio API.
pub type Audio = AudioServiceClient<InterceptedService<Channel, WithKey>>;

/// A channel that connects at the first call.
pub fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a valid authority");
    endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(5)).connect_lazy()
}

/// A client of the Open Inference Protocol at a service of the mesh; the key means nothing to a router or a worker.
pub fn inference(address: SocketAddr) -> Inference {
    GrpcInferenceServiceClient::with_interceptor(channel(address), WithKey)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// A client of the text API at a service of the mesh.
pub fn text(address: SocketAddr) -> Text {
    TextServiceClient::with_interceptor(channel(address), WithKey)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// A client of language models at a service of the mesh.
pub fn generation(address: SocketAddr) -> Generation {
    GenerationServiceClient::with_interceptor(channel(address), WithKey).max_encoding_message_size(MAX_MESSAGE)
}

/// A client of the vision API at a service of the mesh.
pub fn vision(address: SocketAddr) -> Vision {
    VisionServiceClient::with_interceptor(channel(address), WithKey).max_encoding_message_size(MAX_MESSAGE)
}

/// A client of the audio API at a service of the mesh.
pub fn audio(address: SocketAddr) -> Audio {
    AudioServiceClient::with_interceptor(channel(address), WithKey).max_encoding_message_size(MAX_MESSAGE)
}

/// A call with a deadline, which the client sends and keeps.
pub fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// A request with one input, its data in `raw_input_contents`.
pub fn infer(model: &str, input: &str, datatype: &str, shape: &[i64], data: impl Into<Bytes>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![tensor(input, datatype, shape)],
        raw_input_contents: vec![data.into()],
        ..Default::default()
    }
}

/// One input without data.
pub fn tensor(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec(), ..Default::default() }
}

/// A request for `noop`: one row of 256 zeros.
pub fn noop() -> ModelInferRequest {
    infer("noop", "INPUT0", "FP32", &[1, 256], vec![0; 1024])
}

/// A request that keeps `slow` busy for so long.
pub fn slow(busy: Duration) -> ModelInferRequest {
    let millis = i64::try_from(busy.as_millis()).expect("less than an age");
    infer("slow", "INPUT0", "INT64", &[1, 1], millis.to_le_bytes().to_vec())
}

/// Texts for `minilm`.
pub fn embed<'a>(texts: impl IntoIterator<Item = &'a str>) -> EmbedRequest {
    EmbedRequest { model: "minilm".to_owned(), texts: texts.into_iter().map(str::to_owned).collect(), ..Default::default() }
}

/// A request for `minilm` with its tokens as tensors: one row for each of `ids`, padded at the end.
pub fn tokens(ids: &[Vec<i64>]) -> ModelInferRequest {
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |value: &dyn Fn(&i64) -> i64| -> Bytes {
        let row = |ids: &Vec<i64>| ids.iter().map(value).chain(std::iter::repeat(0)).take(longest).collect::<Vec<_>>();
        ids.iter().flat_map(row).flat_map(i64::to_le_bytes).collect()
    };
    let shape = [ids.len(), longest].map(|dim| i64::try_from(dim).expect("few"));
    ModelInferRequest {
        model_name: "minilm".to_owned(),
        inputs: vec![tensor("input_ids", "INT64", &shape), tensor("attention_mask", "INT64", &shape)],
        raw_input_contents: vec![padded(&|&id| id), padded(&|_| 1)],
        ..Default::default()
    }
}

/// The numbers of an answer's first output, which must be FP32.
pub fn floats(answer: &ModelInferResponse) -> Vec<f32> {
    assert_eq!(answer.outputs[0].datatype, "FP32");
    answer.raw_output_contents[0].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
