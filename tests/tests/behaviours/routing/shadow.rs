//! A route's shadow: it gets copies of calls, and nobody notices.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use torchmesh_api::{
    frame,
    inference::{ModelInferRequest, ModelInferResponse, model_infer_response::InferOutputTensor},
};
use torchmesh_tests::{
    MeshSandbox, bounded, client,
    upstream::{Manner, Upstream},
};

const PATIENCE: Duration = Duration::from_secs(20);
const ROUTES: &str = "[[route]]\nmodel = 'noop'\nto = [{ version = '1' }]\nshadow = { version = '2', percent = 100 }";

/// An answer with one number.
fn answers(version: &str, number: f32) -> Manner {
    let output = InferOutputTensor { name: "OUTPUT0".into(), datatype: "FP32".into(), shape: vec![1, 1], ..Default::default() };
    let response = ModelInferResponse {
        model_name: "noop".into(),
        model_version: version.into(),
        outputs: vec![output],
        raw_output_contents: vec![Bytes::copy_from_slice(&number.to_le_bytes())],
        ..Default::default()
    };
    Manner::Answers(frame::encode(&response))
}

/// A mesh whose version 1 answers callers and whose version 2 is the shadow.
async fn mesh(folder: &Path, stable: &Upstream, shadow: &Upstream, settings: &[(&str, &str)]) -> MeshSandbox {
    let file = folder.join("routes.toml");
    fs::write(&file, ROUTES).unwrap();
    let builder = MeshSandbox::builder().worker_at(stable.addr).worker_at(shadow.addr).set("router", "routes_file", file.to_str().unwrap());
    settings.iter().fold(builder, |builder, (key, value)| builder.set("router", key, value)).start().await
}

async fn call(mesh: &MeshSandbox) -> ModelInferResponse {
    mesh.inference().model_infer(ModelInferRequest { model_name: "noop".into(), ..client::noop() }).await.unwrap().into_inner()
}

/// Waits until so many answers were found to agree, or not to.
async fn compared(mesh: &MeshSandbox, agrees: &str, count: u64) {
    let labels = [("model", "noop"), ("version", "2"), ("agrees", agrees)];
    mesh.routers[0].metric_until("torchmesh_router_mirrored_answers_total", &labels, PATIENCE, |seen| seen >= count).await;
}

#[test]
fn a_shadow_gets_the_same_message_says_that_it_is_a_copy_and_is_compared() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        for (number, agrees) in [(1.001, "true"), (2.0, "false")] {
            let stable = Upstream::start(&["noop"], answers("1", 1.0)).await;
            let shadow = Upstream::start(&["noop@2"], answers("2", number)).await;
            let mesh = mesh(folder.path(), &stable, &shadow, &[]).await;
            for _ in 0..10 {
                assert_eq!(call(&mesh).await.model_version, "1");
            }
            compared(&mesh, agrees, 10).await;
            let (original, copy) = (stable.seen().remove(0), shadow.seen().remove(0));
            assert_eq!(original.body, copy.body);
            let told = ["x-torchmesh-mirrored", "x-torchmesh-priority", "x-torchmesh-model-version", "x-torchmesh-tenant"];
            assert_eq!(told.map(|name| copy.header(name)), ["1", "low", "2", ""]);
            assert_eq!((original.header("x-torchmesh-mirrored"), copy.header("grpc-timeout").is_empty()), ("", false));
        }
    });
}

#[test]
fn a_shadow_that_never_answers_slows_nobody_and_takes_no_more_than_its_room() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let stable = Upstream::start(&["noop"], answers("1", 1.0)).await;
        let shadow = Upstream::start(&["noop@2"], Manner::Silent).await;
        let mesh = mesh(folder.path(), &stable, &shadow, &[("shadow.max_in_flight", "3")]).await;
        let begun = Instant::now();
        for _ in 0..50 {
            call(&mesh).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        let left_out = "torchmesh_router_mirrored_left_out_total";
        mesh.routers[0].metric_until(left_out, &[], PATIENCE, |count| count == 47).await;
        assert!(shadow.seen().len() <= 3);
    });
}

#[test]
fn a_shadow_that_fails_is_asked_once_and_its_failure_is_a_difference() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let stable = Upstream::start(&["noop"], answers("1", 1.0)).await;
        let shadow = Upstream::start(&["noop@2"], Manner::Refuses(13, "the model failed")).await;
        let mesh = mesh(folder.path(), &stable, &shadow, &[]).await;
        for _ in 0..5 {
            assert_eq!(call(&mesh).await.model_version, "1");
        }
        compared(&mesh, "false", 5).await;
        assert_eq!(shadow.seen().len(), 5);
    });
}
