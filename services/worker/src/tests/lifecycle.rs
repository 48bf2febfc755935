use std::sync::atomic::Ordering;

use tonic::Code;
use torchmesh_api::inference::{RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerReadyRequest};

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
    assert!(index[4].reason.contains("tokenizer.json is missing"), "{}", index[4].reason);
    worker.until("two models answer", |worker| worker.context.readiness.is_ready()).await;
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

/// The version that answers a call to `echo` which names none.
async fn answering(worker: &Worker) -> Result<String, Code> {
    let answer = worker.oip().model_infer(row(&[1])).await;
    answer.map(|answer| answer.into_inner().model_version).map_err(|status| status.code())
}

async fn load(worker: &Worker, model: &str) -> Result<(), tonic::Status> {
    let request = RepositoryModelLoadRequest { model_name: model.into(), ..Default::default() };
    worker.oip().repository_model_load(request).await.map(drop)
}

async fn unload(worker: &Worker, model: &str) -> Result<(), tonic::Status> {
    let request = RepositoryModelUnloadRequest { model_name: model.into(), ..Default::default() };
    worker.oip().repository_model_unload(request).await.map(drop)
}

#[tokio::test]
async fn a_version_that_appears_is_served_and_one_that_vanishes_is_not() {
    let worker = Worker::start(|_| ()).await;
    std::fs::create_dir(worker.dir.path().join("echo/2")).unwrap();
    worker.front.registry.look();
    assert_eq!(worker.line("echo", "2"), None, "it may still be being written");
    worker.front.registry.look();
    worker.until_settled().await;
    assert_eq!(answering(&worker).await.unwrap(), "2");
    std::fs::remove_dir(worker.dir.path().join("echo/2")).unwrap();
    worker.look();
    assert_eq!(worker.line("echo", "2"), None);
    assert_eq!(answering(&worker).await.unwrap(), "1");
    let mut named = row(&[1]);
    named.model_version = "2".into();
    worker.oip().model_infer(named).await.expect("whoever was sent to it is still answered");
    worker
        .until("it is let go", |worker| {
            worker.look();
            worker.front.registry.find("echo", "2").is_err()
        })
        .await;
    assert!(worker.context.readiness.is_ready());
}

#[tokio::test]
async fn a_changed_model_is_loaded_beside_the_one_that_serves_and_no_call_is_lost() {
    let worker = Worker::start(|_| ()).await;
    let loads = || worker.seen.loads.load(Ordering::Relaxed);
    let before = loads();
    let busy = worker.occupy().await;
    let waiting = worker.call(row(&[2]));
    worker.until("one waits", |worker| worker.depth("echo") == 1).await;
    let old = std::sync::Arc::downgrade(&worker.front.registry.find("echo", "1").unwrap());
    std::fs::write(worker.dir.path().join("echo/1/model.pt"), "new").unwrap();
    worker.look();
    worker
        .until("the new one serves", |worker| {
            loads() > before && !old.ptr_eq(&std::sync::Arc::downgrade(&worker.front.registry.find("echo", "1").unwrap()))
        })
        .await;
    assert!(old.upgrade().is_some(), "calls that have begun keep the old one");
    worker.seen.gate.open();
    busy.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    worker.until("the old one is let go", |_| old.upgrade().is_none()).await;
    assert_eq!(answering(&worker).await.unwrap(), "1");
}

#[tokio::test]
async fn a_model_that_becomes_wrong_goes_on_as_it_was_and_the_index_says_why() {
    let worker = Worker::start(|_| ()).await;
    add(worker.dir.path(), "echo", "task = 'tensor'\nmax_batch = 1");
    worker.look();
    let (state, reason) = worker.line("echo", "1").unwrap();
    assert_eq!(state, "READY");
    for part in ["its newest files are not served", "echo/model.toml", "max_batch: is not a setting", "inputs: is required"] {
        assert!(reason.contains(part), "{part:?} is missing in {reason}");
    }
    assert_eq!(answering(&worker).await.unwrap(), "1");

    add(worker.dir.path(), "echo", &format!("{ECHO}[queue]\nmax_requests = 4\n"));
    worker.seen.refuse_loads.store(true, Ordering::Relaxed);
    worker.look();
    worker.until("the load fails", |worker| worker.line("echo", "1").unwrap().1.contains("no room")).await;
    assert_eq!(answering(&worker).await.unwrap(), "1");

    worker.seen.refuse_loads.store(false, Ordering::Relaxed);
    load(&worker, "echo").await.unwrap();
    assert_eq!(worker.line("echo", "1").unwrap(), ("READY", String::new()));
}

#[tokio::test]
async fn a_model_is_unloaded_by_a_call_and_stays_so_until_a_call_loads_it() {
    let worker = Worker::start(|_| ()).await;
    let old = std::sync::Arc::downgrade(&worker.front.registry.find("echo", "1").unwrap());
    unload(&worker, "echo").await.unwrap();
    assert!(old.upgrade().is_none(), "nobody was calling it");
    worker.look();
    assert_eq!(worker.line("echo", "1").unwrap().0, "UNAVAILABLE");
    assert!(worker.line("echo", "1").unwrap().1.contains("unloaded by a call"));
    assert_eq!(answering(&worker).await, Err(Code::Unavailable));
    load(&worker, "echo").await.unwrap();
    assert_eq!(answering(&worker).await.unwrap(), "1");
    load(&worker, "echo").await.unwrap();
    assert_eq!(worker.seen.loads.load(Ordering::Relaxed), 3, "what is loaded as it is in the repository is not loaded again");
}

#[tokio::test]
async fn a_call_to_load_or_unload_what_is_not_there_or_cannot_be_loaded_says_so() {
    let worker = Worker::start(|_| ()).await;
    for status in [load(&worker, "nobody").await.unwrap_err(), unload(&worker, "nobody").await.unwrap_err()] {
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("\"nobody\""), "{status}");
    }
    add(worker.dir.path(), "wrong", "task = 'dance'");
    let status = load(&worker, "wrong").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("version 1: wrong/model.toml is wrong") && status.message().contains("task: must be"), "{status}");
    assert!(worker.context.readiness.is_ready());
}

#[tokio::test]
async fn two_calls_to_load_one_model_load_it_once() {
    let worker = Worker::start(|_| ()).await;
    let before = worker.seen.loads.load(Ordering::Relaxed);
    add(worker.dir.path(), "late", ECHO);
    let (one, other) = tokio::join!(load(&worker, "late"), load(&worker, "late"));
    one.unwrap();
    other.unwrap();
    assert_eq!(worker.seen.loads.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn an_empty_repository_is_filled_while_the_worker_runs() {
    let worker = Worker::start(|dir| {
        for model in ["echo", "embed"] {
            std::fs::remove_dir_all(dir.join(model)).unwrap();
        }
    })
    .await;
    add(worker.dir.path(), "echo", ECHO);
    worker.look();
    worker.until("the worker is ready", |worker| worker.context.readiness.is_ready()).await;
    assert_eq!(answering(&worker).await.unwrap(), "1");
}
