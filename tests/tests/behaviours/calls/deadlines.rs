//! The time that a caller allows shrinks from hop to hop, and when it is up, the caller is told so, wherever the call is.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;
use tonic::{Code, Request};
use torchmesh_api::{frame, inference::ModelStreamInferResponse, timeout};
use torchmesh_tests::{
    MeshSandbox, bounded, client,
    models::Model,
    raw::{self, Call},
    upstream::{Manner, Seen, Upstream},
    web,
};

/// How long after its deadline a call may end: far less than anything that it could wait for instead.
const SOON: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

fn left(seen: &Seen) -> Duration {
    timeout::parse(seen.header("grpc-timeout").as_bytes()).unwrap_or_else(|| panic!("no grpc-timeout: {:?}", seen.headers))
}

fn ok() -> Manner {
    Manner::Answers(frame::encode(&torchmesh_api::inference::ModelInferResponse::default()))
}

/// Makes a call without keeping its deadline on this side, and checks that the other side does.
async fn expires(address: SocketAddr, call: &Call, allowed: Duration) -> raw::Answer {
    let began = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, raw::call(address, &call.clone().with_key().within(allowed))).await;
    let (answer, took) = (answer.expect("the call ends"), began.elapsed());
    assert_eq!(answer.status().code(), Code::DeadlineExceeded, "{:?}", answer.status());
    assert!(!answer.status().message().is_empty());
    assert!(took >= allowed && took < allowed + SOON, "{allowed:?} were allowed, and the call ended after {took:?}");
    answer
}

#[test]
fn what_is_left_of_the_time_shrinks_at_each_hop() {
    bounded(async {
        let behind_router = Upstream::start(&["noop"], ok()).await;
        let behind_gateway = Upstream::start(&["noop"], ok()).await;
        let whole = MeshSandbox::builder().worker_at(behind_router.addr).start().await;
        let front = MeshSandbox::builder().router_at(behind_gateway.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().within(Duration::from_secs(5));
        let began = Instant::now();
        raw::call(front.gateway(), &call).await;
        raw::call(whole.gateway(), &call).await;
        let most = began.elapsed();
        let (one_hop, two_hops) = (left(&behind_gateway.seen()[0]), left(&behind_router.seen()[0]));
        for (hops, left) in [(1, one_hop), (2, two_hops)] {
            assert!(left < Duration::from_secs(5), "{left:?} are left after {hops} hops");
            assert!(left + most >= Duration::from_secs(5), "{left:?} are left after {hops} hops, and both calls took {most:?}");
        }
    });
}

#[test]
fn a_caller_who_sends_slowly_has_used_that_time_too() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], ok()).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let connection = raw::Connection::open(mesh.gateway()).await.unwrap();
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().within(Duration::from_secs(5));
        let mut open = connection.begin(&call).await.unwrap();
        mesh.gateways[0].metric_until("torchmesh_gateway_in_flight_requests", &[], PATIENCE, |calls| calls == 1).await;
        let began = Instant::now();
        // The other calls take as long as the caller is slow.
        let quick = raw::Connection::open(mesh.gateway()).await.unwrap();
        while began.elapsed() < Duration::from_millis(50) {
            quick.call(&call).await.unwrap();
        }
        raw::send_all(&mut open.upload, frame::encode(&client::noop()), true).await.unwrap();
        assert_eq!(open.answer().await.unwrap().status().code(), Code::Ok);
        let seen = upstream.seen();
        assert!(left(seen.last().unwrap()) <= Duration::from_millis(4950), "{:?}", left(seen.last().unwrap()));
    });
}

#[test]
fn a_call_that_brings_no_deadline_gets_the_default_and_one_that_asks_for_too_much_the_most() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], ok()).await;
        let builder = MeshSandbox::builder().worker_at(upstream.addr);
        let mesh = builder.set("gateway", "limits.default_timeout", "7s").set("gateway", "limits.max_timeout", "20s").start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        raw::call(mesh.gateway(), &call).await;
        raw::call(mesh.gateway(), &call.within(Duration::from_secs(3600))).await;
        let seen = upstream.seen();
        assert!((Duration::from_secs(6)..Duration::from_secs(7)).contains(&left(&seen[0])), "{:?}", left(&seen[0]));
        assert!((Duration::from_secs(19)..Duration::from_secs(20)).contains(&left(&seen[1])), "{:?}", left(&seen[1]));
    });
}

#[test]
fn a_timeout_that_is_none_is_refused_with_the_right_form() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], ok()).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("grpc-timeout", "soon");
        let status = raw::call(mesh.gateway(), &call).await.status();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("grpc-timeout") && status.message().contains("500m"), "{}", status.message());
        assert!(upstream.seen().is_empty());
    });
}

#[test]
fn a_silent_upstream_is_waited_for_no_longer_than_the_deadline_by_either_hop() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop());
        expires(mesh.gateway(), &call, Duration::from_millis(150)).await;
        expires(mesh.routers[0].addr, &call, Duration::from_millis(150)).await;
        for at in 0..2 {
            let gone = |seen: &Seen| seen.left.is_some();
            upstream.sees("that nobody waits any more", gone).await;
            assert!(left(&upstream.seen()[at]) < Duration::from_millis(150));
        }
    });
}

#[test]
fn a_stream_whose_answers_stop_coming_ends_at_the_deadline_with_a_status() {
    bounded(async {
        let first = ModelStreamInferResponse { error_message: "one".to_owned(), infer_response: None };
        let first = frame::encode(&first);
        let upstream = Upstream::start(&["noop"], Manner::StopsAfter(first.clone())).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        for address in [mesh.gateway(), mesh.routers[0].addr] {
            let answer = expires(address, &Call::new(raw::MODEL_STREAM_INFER, &client::noop()), Duration::from_millis(200)).await;
            assert_eq!(answer.body, first, "what came before the deadline was passed on");
            assert!(answer.trailers.contains_key("grpc-status"), "the status of a stream comes in its trailers");
        }
    });
}

#[test]
fn a_stream_of_the_workers_own_ends_at_the_deadline_too() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow()]).await;
        for address in [mesh.gateway(), mesh.workers[0].addr] {
            expires(address, &Call::new(raw::MODEL_STREAM_INFER, &client::slow(Duration::from_secs(1))), Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn a_forward_that_takes_too_long_is_not_waited_for() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow()]).await;
        let call = Call::new(raw::MODEL_INFER, &client::slow(Duration::from_millis(1500)));
        expires(mesh.gateway(), &call, Duration::from_millis(150)).await;
    });
}

#[test]
fn a_request_whose_time_is_up_in_the_queue_is_told_so_and_never_runs() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow()]).await;
        let worker = &mesh.workers[0];
        let (mut client, labels) = (mesh.inference(), [("model", "slow")]);
        let busy = tokio::spawn(async move { client.model_infer(client::slow(Duration::from_millis(1200))).await });
        worker.metric_until("torchmesh_worker_queue_seconds_count", &labels, PATIENCE, |taken| taken == 1).await;
        let answer = expires(mesh.gateway(), &Call::new(raw::MODEL_INFER, &client::slow(Duration::ZERO)), Duration::from_millis(150)).await;
        assert!(busy.await.unwrap().is_ok(), "the request before it is answered: {:?}", answer.status());
        worker.metric_until("torchmesh_worker_dropped_requests_total", &labels, PATIENCE, |dropped| dropped == 1).await;
        let forwards = worker.metrics().await.count("torchmesh_worker_queue_seconds_count", &labels);
        assert_eq!(forwards, 1, "the late request was dropped before it cost a forward");
    });
}

#[test]
fn over_http_a_call_that_takes_too_long_is_a_504() {
    bounded(async {
        let upstream = Upstream::start(&["minilm"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).set("gateway", "limits.default_timeout", "200ms").start().await;
        let began = Instant::now();
        let answer = web::post(mesh.gateway(), "/v1/embeddings", &json!({ "model": "minilm", "input": "hi" })).await;
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "timeout");
        assert!(began.elapsed() < Duration::from_millis(200) + SOON, "it took {:?}", began.elapsed());
    });
}

#[test]
fn a_call_without_any_time_left_reaches_nobody() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], ok()).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("grpc-timeout", "0m");
        assert_eq!(raw::call(mesh.gateway(), &call).await.status().code(), Code::DeadlineExceeded);
        assert_eq!(raw::call(mesh.routers[0].addr, &call).await.status().code(), Code::DeadlineExceeded);
        assert!(upstream.seen().is_empty());
        let fine = Request::new(client::noop());
        assert!(mesh.inference().model_infer(fine).await.is_ok(), "the next call is none the worse");
    });
}
