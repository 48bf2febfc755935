use std::sync::atomic::Ordering;

use tonic::Code;
use torchmesh_api::inference::{RepositoryIndexRequest, ServerReadyRequest};

use super::{Worker, add, row};
use crate::testing::{ECHO, PANICS};

#[tokio::test]
async fn a_model_that_cannot_be_loaded_does_not_take_the_others_down() {
    let worker = Worker::start(|dir| {
        add(dir, "broken", "task = 'embed'\nmax_tokens = 1");
        add(dir, "mute", "task = 'embed'");
        std::fs::create_dir_all(dir.join("empty")).unwrap();
    })
    .await;
    let index = worker.oip().repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner().models;
    let lines: Vec<_> = index.iter().map(|line| (line.name.as_str(), line.state.as_str())).collect();
    let ready = [("broken", "UNAVAILABLE"), ("echo", "READY"), ("embed", "READY"), ("empty", "UNAVAILABLE"), ("mute", "UNAVAILABLE")];
    assert_eq!(lines, ready);
    assert!(index[0].reason.contains("max_tokens: must be from 8"), "{}", index[0].reason);
    assert!(index[4].reason.contains("tokenizer.json cannot be read"), "{}", index[4].reason);
    assert!(worker.context.readiness.is_ready(), "two models answer");
    let only_ready = RepositoryIndexRequest { ready: true, ..Default::default() };
    assert_eq!(worker.oip().repository_index(only_ready).await.unwrap().into_inner().models.len(), 2);
    let mut request = row(&[1]);
    request.model_name = "broken".into();
    assert_eq!(worker.oip().model_infer(request).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_worker_without_a_model_that_answers_is_not_ready() {
    let worker = Worker::start(|dir| {
        for model in ["echo", "embed"] {
            std::fs::remove_dir_all(dir.join(model)).unwrap();
        }
    })
    .await;
    assert!(!worker.context.readiness.is_ready());
    assert!(!worker.oip().server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
}

#[tokio::test]
async fn the_highest_version_answers_when_none_is_named() {
    let worker = Worker::start(|dir| {
        for version in ["2", "10"] {
            std::fs::create_dir_all(dir.join("echo").join(version)).unwrap();
        }
    })
    .await;
    let answered = |version: &str| {
        let mut request = row(&[1]);
        request.model_version = version.to_owned();
        let mut client = worker.oip();
        async move { client.model_infer(request).await.unwrap().into_inner().model_version }
    };
    assert_eq!(answered("").await, "10");
    assert_eq!(answered("2").await, "2");
}

#[tokio::test]
async fn an_engine_that_breaks_for_good_makes_its_model_unavailable_and_the_worker_lives() {
    let worker = Worker::start(|dir| add(dir, "other", ECHO)).await;
    worker.seen.refuse_loads.store(true, Ordering::Relaxed);
    assert_eq!(worker.oip().model_infer(row(&[PANICS])).await.unwrap_err().code(), Code::Internal);
    worker.until("the model is unavailable", |worker| worker.front.registry.index()[0].state == "UNAVAILABLE").await;
    assert_eq!(worker.oip().model_infer(row(&[1])).await.unwrap_err().code(), Code::Unavailable);
    let mut other = row(&[1]);
    other.model_name = "other".into();
    worker.oip().model_infer(other).await.unwrap();
    assert!(worker.context.readiness.is_ready(), "other models still answer");
}
