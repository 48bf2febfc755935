//! Callers who leave: what they held is free, and nobody else notices.

use std::time::Duration;

use tokio::task::JoinSet;
use torchmesh_api::text::v1::GenerationSettings;
use torchmesh_tests::{
    Instance, bounded,
    client::{self, Generation},
    eventually,
    language::{Answer, Told, ask, generate, seeded, worker},
    models::Model,
};

const STREAMS: u64 = 1000;
/// Open at once.
const AT_ONCE: usize = 32;
const LABELS: [(&str, &str); 1] = [("model", "stories")];
/// What caches of the allocator and of the connection may hold more in the end; a sequence that stayed would hold 3 MiB of the model's cache and its author.
const SLACK: u64 = 24 << 20;

/// Waits until no sequence holds anything.
async fn idle(worker: &Instance) {
    eventually("nothing runs, waits or holds a block", Duration::from_secs(10), async || {
        let metrics = worker.metrics().await;
        let gauge = |name| metrics.gauge(name, &LABELS).expect("the model is shown");
        let all = ["torchmesh_worker_running_sequences", "torchmesh_worker_waiting_sequences", "torchmesh_worker_cache_used_ratio"];
        all.into_iter().all(|name| gauge(name) == 0.0).then_some(())
    })
    .await;
}

/// Opens a stream and lets go of it: at once, or after some pieces.
async fn leave(client: Generation, number: u64) {
    let settings = GenerationSettings { ignore_end: true, ..seeded(number, 64) };
    // Spread over 0 to 15, the same in every run.
    let pieces = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
    let mut client = client;
    let mut stream = Box::pin(client.generate(ask("stories", "Once upon a time", settings)));
    if pieces == 0 {
        // The request may be on its way, or not.
        let _ = tokio::time::timeout(Duration::from_micros(number), &mut stream).await;
        return;
    }
    let mut stream = stream.await.unwrap().into_inner();
    for _ in 0..pieces {
        stream.message().await.unwrap().expect("64 tokens are not written yet");
    }
}

async fn leave_all(client: &Generation, numbers: std::ops::Range<u64>) {
    let mut open = JoinSet::new();
    for number in numbers {
        open.spawn(leave(client.clone(), number));
        if open.len() >= AT_ONCE {
            open.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(left) = open.join_next().await {
        left.unwrap();
    }
}

async fn stay(client: Generation, seed: u64) -> Answer {
    let settings = GenerationSettings { ignore_end: true, ..seeded(seed, 200) };
    generate(&client, ask("stories", "The big dog", settings)).await.map(Told::one).unwrap()
}

#[test]
fn a_thousand_callers_who_leave_free_what_they_held_and_change_nobody_s_text() {
    bounded(async {
        let mesh = worker([Model::stories().with("cache = \"64MiB\"")]).await;
        let worker = &mesh.workers[0];
        let client = client::generation(worker.addr);
        let mut alone = Vec::new();
        for seed in 0..3 {
            alone.push(stay(client.clone(), seed).await);
        }
        leave_all(&client, 0..200).await;
        idle(worker).await;
        let before = worker.resident();
        let others: Vec<_> = (0..3).map(|seed| tokio::spawn(stay(client.clone(), seed))).collect();
        leave_all(&client, 200..STREAMS).await;
        for (other, alone) in others.into_iter().zip(&alone) {
            assert_eq!(other.await.unwrap(), *alone);
        }
        idle(worker).await;
        let after = worker.resident();
        assert!(after < before + SLACK, "{before} bytes before, and {after} after");
        let cancelled = worker.metrics().await;
        assert!(!cancelled.mentions("code=\"INTERNAL\""), "nobody's error");
        // Whoever comes next finds an empty model.
        assert_eq!(stay(client, 1).await, alone[1]);
    });
}
