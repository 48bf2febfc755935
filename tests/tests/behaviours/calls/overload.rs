//! What is too much is refused at once, with a hint when to come back.

use std::time::{Duration, Instant};

use serde_json::json;
use tonic::Code;
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    models::Model,
    raw::{self, Call, Connection},
    upstream::{Manner, Upstream},
    web,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// A refusal waits for nothing; this is what a busy machine may add.
const AT_ONCE: Duration = Duration::from_millis(200);

fn pushback(answer: &raw::Answer) -> u64 {
    let told = answer.trailer("grpc-retry-pushback-ms").unwrap_or_else(|| panic!("no grpc-retry-pushback-ms: {answer:?}"));
    told.parse().unwrap()
}

#[test]
fn a_full_queue_answers_resource_exhausted_at_once_and_says_when_to_come_back() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow().with("[queue]\nmax_requests = 2")]).await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let long = Call::new(raw::MODEL_INFER, &client::slow(Duration::from_secs(60))).with_key();
        let labels = [("model", "slow")];
        let mut held = vec![connection.send(&long).await.unwrap()];
        mesh.workers[0].metric_until("torchmesh_worker_queue_seconds_count", &labels, PATIENCE, |taken| taken == 1).await;
        for _ in 0..2 {
            held.push(connection.send(&long).await.unwrap());
        }
        mesh.workers[0].metric_until("torchmesh_worker_queue_depth_requests", &labels, PATIENCE, |depth| depth == 2).await;

        let began = Instant::now();
        let refused = connection.call(&long).await.unwrap();
        assert!(began.elapsed() < AT_ONCE, "the refusal took {:?}", began.elapsed());
        assert_eq!(refused.status().code(), Code::ResourceExhausted);
        assert!(refused.status().message().contains("queue is full"), "{}", refused.status().message());
        assert!((1..=600_000).contains(&pushback(&refused)), "{}", pushback(&refused));

        // A place that a caller gives back is free for the next.
        held.pop();
        mesh.workers[0].metric_until("torchmesh_worker_queue_depth_requests", &labels, PATIENCE, |depth| depth == 1).await;
        let next = connection.send(&long).await.unwrap();
        mesh.workers[0].metric_until("torchmesh_worker_queue_depth_requests", &labels, PATIENCE, |depth| depth == 2).await;
        drop(next);
    });
}

#[test]
fn a_service_with_as_many_calls_as_it_may_have_refuses_the_next_at_once() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        for service in ["gateway", "router"] {
            let mesh = MeshSandbox::builder().worker_at(upstream.addr).set(service, "limits.max_in_flight", "1").start().await;
            let connection = Connection::open(mesh.gateway()).await.unwrap();
            let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
            let before = upstream.seen().len();
            let first = connection.send(&call).await.unwrap();
            eventually("the first call is at the upstream", PATIENCE, async || (upstream.seen().len() > before).then_some(())).await;
            let began = Instant::now();
            let refused = connection.call(&call).await.unwrap();
            assert!(began.elapsed() < AT_ONCE, "the refusal of the {service} took {:?}", began.elapsed());
            assert_eq!(refused.status().code(), Code::ResourceExhausted, "{service}");
            assert!(pushback(&refused) > 0);
            drop(first);
        }
    });
}

#[test]
fn calls_that_can_wait_are_refused_before_those_that_cannot() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        for service in ["gateway", "router"] {
            let builder = MeshSandbox::builder().worker_at(upstream.addr).set(service, "limits.max_in_flight", "20");
            let mesh = builder.set(service, "limits.low_share", "0.5").start().await;
            let connection = Connection::open(mesh.gateway()).await.unwrap();
            let mut held = Vec::new();
            // Of twenty places, half are for everybody and one is for those in a hurry only.
            for (priority, places) in [("low", 10), ("normal", 19), ("high", 20)] {
                let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("x-torchmesh-priority", priority);
                while held.len() < places {
                    let before = upstream.seen().len();
                    held.push(connection.send(&call).await.unwrap());
                    eventually("the call is at the upstream", PATIENCE, async || (upstream.seen().len() > before).then_some(())).await;
                }
                let refused = connection.call(&call).await.unwrap();
                assert_eq!(refused.status().code(), Code::ResourceExhausted, "{service} {priority}");
                assert!(pushback(&refused) > 0);
                assert_eq!(refused.status().message().contains("of priority low"), priority == "low", "{:?}", refused.status());
            }
        }
    });
}

#[test]
fn over_http_too_much_is_a_429_with_retry_after() {
    bounded(async {
        let upstream = Upstream::start(&["minilm"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).set("gateway", "limits.max_in_flight", "1").start().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let _first = connection.send(&Call::new(raw::EMBED, &client::embed(["hi"])).with_key()).await.unwrap();
        eventually("the first call is at the upstream", PATIENCE, async || upstream.seen().pop()).await;
        let answer = web::post(mesh.gateway(), "/v1/embeddings", &json!({ "model": "minilm", "input": "hi" })).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.json()["error"]["code"], "overloaded");
    });
}

#[test]
fn whoever_has_no_key_cannot_take_the_places_of_those_who_have() {
    bounded(async {
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "limits.max_in_flight", "1").start().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let bare = Call::new(raw::MODEL_INFER, &client::noop());
        let mut strangers = Vec::new();
        for _ in 0..20 {
            // Heads without bodies: calls that would be in flight for as long as their caller likes.
            strangers.push(connection.begin(&bare).await.unwrap());
        }
        let answer = raw::call(mesh.gateway(), &bare.clone().with_key()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{:?}", answer.status());
    });
}

#[test]
fn a_retry_storm_is_bounded_by_the_budget() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Refuses(14, "not now")).await;
        let other = Upstream::start(&["noop"], Manner::Refuses(14, "not now")).await;
        let builder = MeshSandbox::builder().worker_at(upstream.addr).worker_at(other.addr);
        let mesh = builder.set("router", "retry.budget_reserve", "5").set("gateway", "retry.max_attempts", "1").start().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        for _ in 0..100 {
            let refused = connection.call(&Call::new(raw::MODEL_INFER, &client::noop()).with_key()).await.unwrap();
            assert_eq!((refused.status().code(), refused.status().message()), (Code::Unavailable, "not now"));
        }
        let tries = upstream.seen().len() + other.seen().len();
        // A fifth of the calls, and the reserve.
        assert!((101..=126).contains(&tries), "{tries} tries of 100 calls");
    });
}
