use http_body_util::{BodyExt as _, Full};
use tonic::Code;
use torchmesh_api::inference::{
    ModelConfigRequest, ModelMetadataRequest, ModelReadyRequest, ModelStatisticsRequest, RepositoryModelLoadRequest, ServerMetadataRequest,
    SystemSharedMemoryStatusRequest, model_config::SchedulingChoice,
};
use tower::ServiceExt as _;

use super::{MAX_MESSAGE, Worker, row};

/// Sends raw bytes as the message of a method; the `grpc-status` and `grpc-message` of the answer.
async fn raw(worker: &Worker, path: &str, message: &[u8]) -> (String, String) {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let request = http::Request::post(path).header("content-type", "application/grpc").body(Full::from(body)).unwrap();
    let answer = worker.stack.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    let text = |name| head.headers.get(name).or(trailers.get(name)).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    (text("grpc-status"), text("grpc-message").replace("%20", " "))
}

#[tokio::test]
async fn what_cannot_be_decoded_is_the_callers_mistake() {
    let worker = Worker::start(|_| ()).await;
    let infer = "/inference.GRPCInferenceService/ModelInfer";
    for garbage in [&b"\xff\xff\xff\xff"[..], b"\x0a\x02\xc3\x28", b"\x0a\x7f"] {
        let (code, message) = raw(&worker, infer, garbage).await;
        assert_eq!(code, "3", "{message}");
        assert!(message.contains("encode it with the published proto"), "{message}");
    }
    let (code, message) = raw(&worker, infer, &vec![0; MAX_MESSAGE + 1]).await;
    assert_eq!(code, "8", "{message}");
    assert!(message.contains("longer than the 65536 bytes"), "{message}");
    assert_eq!(raw(&worker, "/inference.GRPCInferenceService/Nothing", b"").await.0, "12");
    assert_eq!(raw(&worker, "/nowhere", b"").await.0, "12");
}

#[tokio::test]
async fn a_model_describes_itself_as_clients_expect() {
    let worker = Worker::start(|_| ()).await;
    let metadata =
        worker.oip().model_metadata(ModelMetadataRequest { name: "embed".into(), version: String::new() }).await.unwrap().into_inner();
    assert_eq!((metadata.platform.as_str(), metadata.versions), ("fake", vec!["1".to_owned()]));
    assert_eq!(metadata.outputs[0].shape, [-1, 2], "the warm-up showed how long a vector is");
    let config = worker.oip().model_config(ModelConfigRequest { name: "embed".into(), version: String::new() }).await.unwrap();
    let config = config.into_inner().config.unwrap();
    assert_eq!((config.max_batch_size, &config.input[0].dims[..], &config.output[0].dims[..]), (32, &[-1][..], &[2][..]));
    assert!(matches!(config.scheduling_choice, Some(SchedulingChoice::DynamicBatching(_))));
    let server = worker.oip().server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert!(server.extensions.contains(&"statistics".to_owned()));
}

#[tokio::test]
async fn statistics_count_what_was_run() {
    let worker = Worker::start(|_| ()).await;
    for _ in 0..3 {
        worker.oip().model_infer(row(&[1])).await.unwrap();
    }
    worker.oip().model_infer(row(&[crate::testing::FAILS])).await.unwrap_err();
    let ask = |name: &str| ModelStatisticsRequest { name: name.into(), version: String::new() };
    let stats = worker.oip().model_statistics(ask("echo")).await.unwrap().into_inner().model_stats;
    let counts = stats[0].inference_stats.unwrap();
    assert_eq!((stats.len(), stats[0].inference_count, stats[0].execution_count), (1, 3, 3));
    assert_eq!((counts.success.unwrap().count, counts.fail.unwrap().count), (3, 1));
    assert!(counts.compute_infer.unwrap().ns > 0);
    assert_eq!(worker.oip().model_statistics(ask("")).await.unwrap().into_inner().model_stats.len(), 2, "no name: all models");
    assert_eq!(worker.oip().model_statistics(ask("nobody")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_this_worker_does_not_do_is_said_with_what_to_do_instead() {
    let worker = Worker::start(|_| ()).await;
    let parameters = [("config".to_owned(), Default::default())].into();
    let request = RepositoryModelLoadRequest { model_name: "echo".into(), parameters, ..Default::default() };
    let load = worker.oip().repository_model_load(request).await.unwrap_err();
    assert_eq!(load.code(), Code::InvalidArgument);
    assert!(load.message().contains("parameters[config]") && load.message().contains("model.toml"), "{load:?}");
    let memory = worker.oip().system_shared_memory_status(SystemSharedMemoryStatusRequest::default()).await.unwrap_err();
    assert!(memory.message().contains("send tensors in the message"), "{memory:?}");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_not_ready() {
    let worker = Worker::start(|_| ()).await;
    for (name, version, want) in [("echo", "", true), ("echo", "1", true), ("echo", "2", false), ("nobody", "", false)] {
        let request = ModelReadyRequest { name: name.into(), version: version.into() };
        assert_eq!(worker.oip().model_ready(request).await.unwrap().into_inner().ready, want, "{name} {version}");
    }
}
