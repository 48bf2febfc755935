//! The trivial upstream: what a proxy costs is what is left when this server's share is told apart.

use std::io;

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use torchmesh_api::{
    headers::GRPC_STATUS,
    inference::{
        ModelInferResponse, RepositoryIndexResponse, ServerReadyResponse, model_infer_response::InferOutputTensor,
        repository_index_response::ModelIndex,
    },
};

use crate::grpc;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;

/// The framed answers, encoded once. Cloning one is counting a reference.
#[derive(Clone)]
pub struct Answers {
    infer: Bytes,
    index: Bytes,
    /// `true`, `READY` and `SERVING` are the same two bytes in the four messages that ask after a server's state.
    ready: Bytes,
}

impl Answers {
    /// Answers of a server that has one model, whose output has so many floats, all zero.
    pub fn new(model: &str, floats: u16) -> Self {
        Self {
            infer: framed(&infer_response(model, floats)),
            index: framed(&repository_index(model)),
            ready: framed(&ServerReadyResponse { ready: true }),
        }
    }

    fn to(&self, path: &str) -> Bytes {
        match path {
            "/grpc.health.v1.Health/Check"
            | "/grpc.health.v1.Health/Watch"
            | "/inference.GRPCInferenceService/ServerLive"
            | "/inference.GRPCInferenceService/ServerReady"
            | "/inference.GRPCInferenceService/ModelReady" => self.ready.clone(),
            "/inference.GRPCInferenceService/RepositoryIndex" => self.index.clone(),
            // So that services can be measured with tracing on: the answer to an export that was taken whole is an empty message.
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Bytes::from_static(&[0; grpc::FRAME_HEADER]),
            _ => self.infer.clone(),
        }
    }
}

fn framed(message: &impl Message) -> Bytes {
    grpc::frame(&message.encode_to_vec())
}

fn infer_response(model: &str, floats: u16) -> ModelInferResponse {
    ModelInferResponse {
        model_name: model.to_owned(),
        model_version: "1".to_owned(),
        outputs: vec![InferOutputTensor {
            name: "OUTPUT0".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::from(floats)],
            ..InferOutputTensor::default()
        }],
        raw_output_contents: vec![vec![0; usize::from(floats) * size_of::<f32>()].into()],
        ..ModelInferResponse::default()
    }
}

fn repository_index(model: &str) -> RepositoryIndexResponse {
    RepositoryIndexResponse {
        models: vec![ModelIndex { name: model.to_owned(), version: "1".to_owned(), state: "READY".to_owned(), ..Default::default() }],
    }
}

/// Accepts connections and answers their calls until accepting fails.
pub async fn serve(listener: TcpListener, answers: Answers) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // A connection that breaks is the business of its client.
        tokio::spawn(serve_connection(socket, answers.clone()));
    }
}

async fn serve_connection(socket: TcpStream, answers: Answers) -> Result<(), h2::Error> {
    let mut connection = server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(10_000)
        .handshake(socket)
        .await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(answer(request, respond, answers.clone()));
    }
    Ok(())
}

/// Reads the call to its end, as a server that looks at its requests would, and answers it.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, answers: Answers) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(response, false)?;
    let path = head.uri.path();
    stream.send_data(answers.to(path), false)?;
    if path == "/grpc.health.v1.Health/Watch" {
        // The state never changes; the call ends when its client has seen enough.
        std::future::poll_fn(|context| stream.poll_reset(context)).await?;
        return Ok(());
    }
    stream.send_trailers(HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]))
}

#[cfg(test)]
mod tests {
    use torchmesh_api::inference::ModelReadyResponse;

    use super::*;

    fn message<M: Message + Default>(answers: &Answers, path: &str) -> M {
        M::decode(answers.to(path).slice(grpc::FRAME_HEADER..)).unwrap()
    }

    #[test]
    fn a_router_that_probes_sees_one_ready_model() {
        let answers = Answers::new("noop", 16);
        let index: RepositoryIndexResponse = message(&answers, "/inference.GRPCInferenceService/RepositoryIndex");
        assert_eq!((index.models[0].name.as_str(), index.models[0].state.as_str()), ("noop", "READY"));
        assert!(message::<ModelReadyResponse>(&answers, "/inference.GRPCInferenceService/ModelReady").ready);
        // HealthCheckResponse { status: SERVING = 1 }
        assert_eq!(answers.to("/grpc.health.v1.Health/Check").slice(grpc::FRAME_HEADER..).as_ref(), [8, 1]);
    }

    #[test]
    fn any_other_call_gets_the_tensor_that_was_asked_for() {
        let response: ModelInferResponse = message(&Answers::new("noop", 16), "/inference.GRPCInferenceService/ModelInfer");
        assert_eq!(response.outputs[0].shape, [1, 16]);
        assert_eq!(response.raw_output_contents[0].len(), 64);
    }
}
