//! Too much, too late, and workers that go.

use std::time::{Duration, Instant};

use tonic::{Code, Status, Streaming};
use torchmesh_api::{
    inference::{RepositoryModelLoadRequest, RepositoryModelUnloadRequest},
    text::v1::{FinishReason, GenerateRequest, GenerateResponse, GenerationSettings},
};
use torchmesh_tests::{
    Instance, MeshSandbox, Signal, bounded,
    client::{self, Generation},
    eventually,
    language::{ask, generate, greedy, worker},
    models::Model,
    raw::{self, Call},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// More tokens than any of these tests waits for.
const LONG: u32 = 30_000;

fn endless(max_tokens: u32) -> GenerateRequest {
    ask("endless", "on and on", GenerationSettings { ignore_end: true, ..greedy(max_tokens) })
}

async fn gauge(worker: &Instance, name: &str, wanted: u64) {
    eventually(&format!("{name} is {wanted}"), PATIENCE, async || {
        let told = worker.metrics().await.gauge(name, &[("model", "endless")])?;
        ((told - wanted as f64).abs() < 0.5).then_some(())
    })
    .await;
}

/// A stream that has begun.
async fn begun(client: &Generation, request: GenerateRequest) -> Streaming<GenerateResponse> {
    let mut stream = client.clone().generate(request).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("a first piece");
    stream
}

/// How it ends: the tokens that came, why, and whether the usage came.
async fn rest(mut stream: Streaming<GenerateResponse>) -> Result<(usize, FinishReason, bool), Status> {
    let (mut tokens, mut reason, mut used) = (0, FinishReason::Unspecified, false);
    while let Some(piece) = stream.message().await? {
        tokens += piece.tokens.len();
        if piece.finish_reason() != FinishReason::Unspecified {
            reason = piece.finish_reason();
        }
        used = piece.usage.is_some();
    }
    Ok((tokens, reason, used))
}

#[test]
fn a_full_model_refuses_at_once_and_says_when_to_come_back() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::endless().with("max_running = 1\n[queue]\nmax_requests = 2")]).await;
        let (worker, client) = (&mesh.workers[0], client::generation(mesh.gateway()));
        let running = begun(&client, endless(LONG)).await;
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { generate(&client, endless(LONG)).await })
            })
            .collect();
        gauge(worker, "torchmesh_worker_waiting_sequences", 2).await;
        let began = Instant::now();
        let refused = generate(&client, endless(1)).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_millis(500), "the refusal took {:?}", began.elapsed());
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        let hint = refused.metadata().get("grpc-retry-pushback-ms").expect("when to come back").to_str().unwrap();
        assert!((1..=600_000).contains(&hint.parse::<u64>().unwrap()), "{hint}");
        // Several answers are all refused when there is no room for one of them, and leave nothing behind.
        drop(waiting);
        drop(running);
    });
}

#[test]
fn a_place_that_a_caller_leaves_is_the_next_one_s() {
    bounded(async {
        let mesh = worker([Model::endless().with("max_running = 1\n[queue]\nmax_requests = 1")]).await;
        let (worker, client) = (&mesh.workers[0], client::generation(mesh.workers[0].addr));
        let running = begun(&client, endless(LONG)).await;
        let several = GenerationSettings { n: Some(3), ..greedy(1) };
        let refused = generate(&client, ask("endless", "n", several)).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "there is room for one of the three: {refused}");
        gauge(worker, "torchmesh_worker_waiting_sequences", 0).await;
        drop(running);
        assert_eq!(generate(&client, endless(3)).await.unwrap().usage.completion_tokens, 3);
        gauge(worker, "torchmesh_worker_running_sequences", 0).await;
    });
}

#[test]
fn a_deadline_that_passes_ends_the_answer_and_frees_its_place() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::endless().with("max_running = 1")]).await;
        let (worker, client) = (&mesh.workers[0], client::generation(mesh.gateway()));
        // A plain client, which leaves it to the mesh to keep the deadline.
        let call =
            |message: &GenerateRequest, left| Call::new("/torchmesh.text.v1.GenerationService/Generate", message).with_key().within(left);
        let began = Instant::now();
        let ended = raw::call(mesh.gateway(), &call(&endless(LONG), Duration::from_millis(700))).await;
        assert_eq!(ended.status().code(), Code::DeadlineExceeded, "{ended:?}");
        assert!(!ended.body.is_empty(), "what came before is what was delivered");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        gauge(worker, "torchmesh_worker_running_sequences", 0).await;
        // One that waits in vain is told the same.
        let running = begun(&client, endless(LONG)).await;
        let late = raw::call(mesh.gateway(), &call(&endless(1), Duration::from_millis(300))).await;
        assert_eq!(late.status().code(), Code::DeadlineExceeded, "{late:?}");
        gauge(worker, "torchmesh_worker_waiting_sequences", 0).await;
        drop(running);
    });
}

#[test]
fn a_worker_that_is_told_to_stop_finishes_what_it_writes() {
    bounded(async {
        let mut mesh = worker([Model::endless()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let stream = begun(&client, endless(1500)).await;
        mesh.workers[0].signal(Signal::TERM);
        assert_eq!(rest(stream).await.unwrap(), (1499, FinishReason::Length, true));
        assert!(mesh.workers[0].ended().await.success());
    });
}

#[test]
fn a_model_that_is_unloaded_finishes_what_it_writes_and_takes_nothing_new() {
    bounded(async {
        let mesh = worker([Model::endless()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let stream = begun(&client, endless(1500)).await;
        let mut operator = client::inference(mesh.workers[0].addr);
        let unload = RepositoryModelUnloadRequest { model_name: "endless".to_owned(), ..Default::default() };
        operator.repository_model_unload(unload).await.unwrap();
        let refused = generate(&client, endless(1)).await.unwrap_err();
        assert!([Code::Unavailable, Code::NotFound].contains(&refused.code()), "{refused}");
        assert_eq!(rest(stream).await.unwrap(), (1499, FinishReason::Length, true));
        let load = RepositoryModelLoadRequest { model_name: "endless".to_owned(), ..Default::default() };
        operator.repository_model_load(load).await.unwrap();
        let again = eventually("the model is served again", PATIENCE, async || generate(&client, endless(2)).await.ok()).await;
        assert_eq!(again.usage.completion_tokens, 2);
    });
}

#[test]
fn a_worker_that_dies_ends_its_streams_at_once() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::endless()]).await;
        let client = client::generation(mesh.gateway());
        let stream = begun(&client, endless(LONG)).await;
        let killed = Instant::now();
        mesh.workers[0].signal(Signal::KILL);
        let ended = rest(stream).await.unwrap_err();
        assert_eq!(ended.code(), Code::Unavailable, "{ended}");
        assert!(killed.elapsed() < Duration::from_secs(2), "it took {:?}", killed.elapsed());
    });
}
