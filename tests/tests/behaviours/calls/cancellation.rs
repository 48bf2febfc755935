//! A caller that leaves is noticed at every hop, and its work is dropped before it costs anything.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use torchmesh_api::frame;
use torchmesh_tests::{
    Instance, MeshSandbox, bounded, client, eventually,
    models::Model,
    raw::{self, Call, Connection},
    upstream::{Manner, Seen, Upstream},
    wait::median,
    web,
};

/// How soon a worker is to know that nobody waits any more.
const SOON: Duration = Duration::from_millis(100);
/// Times are taken so often, and the median counts: one wrong moment of a busy machine is not the mesh's doing.
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);
const SLOW: [(&str, &str); 1] = [("model", "slow")];

/// A mesh whose only executor is busy for longer than the test takes.
async fn busy_mesh() -> (MeshSandbox, Connection) {
    let mesh = MeshSandbox::with([Model::slow()]).await;
    let occupant = Connection::open(mesh.workers[0].addr).await.unwrap();
    let open = occupant.send(&Call::new(raw::MODEL_INFER, &client::slow(Duration::from_secs(60)))).await.unwrap();
    // It stays open as long as its connection does.
    tokio::spawn(open.answer());
    mesh.workers[0].metric_until("torchmesh_worker_queue_seconds_count", &SLOW, PATIENCE, |taken| taken == 1).await;
    (mesh, occupant)
}

async fn depth(worker: &Instance, wanted: u64) {
    worker.metric_until("torchmesh_worker_queue_depth_requests", &SLOW, PATIENCE, |depth| depth == wanted).await;
}

fn waiting() -> Call {
    Call::new(raw::MODEL_INFER, &client::slow(Duration::ZERO)).with_key()
}

/// The median time from `leave` until the queue is empty again.
async fn until_dropped<T>(worker: &Instance, mut arrive: impl AsyncFnMut() -> T, leave: impl Fn(T)) -> Duration {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let call = arrive().await;
        depth(worker, 1).await;
        let began = Instant::now();
        leave(call);
        depth(worker, 0).await;
        times.push(began.elapsed());
    }
    median(times)
}

#[test]
fn a_call_that_is_dropped_leaves_the_workers_queue_within_100_ms() {
    bounded(async {
        let (mesh, _occupant) = busy_mesh().await;
        let shared = Connection::open(mesh.gateway()).await.unwrap();
        let took = until_dropped(&mesh.workers[0], async || shared.send(&waiting()).await.unwrap(), drop).await;
        assert!(took <= SOON, "the worker knew after {took:?}");
        let metrics = mesh.workers[0].metrics().await;
        assert_eq!(metrics.count("torchmesh_worker_dropped_requests_total", &SLOW), ROUNDS as u64);
        assert_eq!(metrics.count("torchmesh_worker_requests_total", &[("model", "slow"), ("code", "CANCELLED")]), ROUNDS as u64);
        assert_eq!(metrics.count("torchmesh_worker_queue_seconds_count", &SLOW), 1, "none of them cost a forward");
    });
}

#[test]
fn a_connection_that_is_closed_takes_its_calls_out_of_the_workers_queue_within_100_ms() {
    bounded(async {
        let (mesh, _occupant) = busy_mesh().await;
        let arrive = async || {
            let connection = Connection::open(mesh.gateway()).await.unwrap();
            let open = connection.send(&waiting()).await.unwrap();
            (connection, open)
        };
        let leave = |(connection, open): (Connection, raw::Open)| {
            // The socket first: the call itself says nothing.
            drop(connection);
            std::mem::forget(open);
        };
        let took = until_dropped(&mesh.workers[0], arrive, leave).await;
        assert!(took <= SOON, "the worker knew after {took:?}");
    });
}

#[test]
fn a_text_that_waits_to_be_embedded_is_dropped_with_its_http_connection() {
    bounded(async {
        let upstream = Upstream::start(&["minilm"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let body = json!({ "model": "minilm", "input": "hi" }).to_string();
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let http2 = round % 2 == 1;
            let open = if http2 { web::Connection::http2(mesh.gateway()).await } else { web::Connection::http1(mesh.gateway()).await };
            let (mut connection, body) = (open.unwrap(), body.clone());
            let asking = tokio::spawn(async move { connection.send(web::request(Method::POST, "/v1/embeddings", body)).await });
            eventually("the call has arrived", PATIENCE, async || upstream.seen().get(round).filter(|seen| seen.body.is_some()).map(drop))
                .await;
            let began = Instant::now();
            asking.abort();
            let left = eventually("the upstream knows", PATIENCE, async || upstream.seen()[round].left).await;
            times.push(left.saturating_duration_since(began));
        }
        let took = median(times);
        assert!(took <= SOON, "the upstream knew after {took:?}");
    });
}

#[test]
fn a_caller_that_leaves_in_the_middle_of_its_message_leaves_nothing_behind() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let message = frame::encode(&client::infer("noop", "INPUT0", "FP32", &[1, 256], vec![0; 4 << 20]));
        let mut open = connection.begin(&Call::of_bytes(raw::MODEL_INFER, message.clone()).with_key()).await.unwrap();
        raw::send_all(&mut open.upload, message.slice(..message.len() / 2), false).await.unwrap();
        upstream.sees("the beginning of the call", |seen: &Seen| seen.body.is_none()).await;
        drop(open);
        upstream.sees("that its caller has left", |seen: &Seen| seen.left.is_some()).await;
        for (instance, name) in [(&mesh.gateways[0], "torchmesh_gateway"), (&mesh.routers[0], "torchmesh_router")] {
            instance.metric_until(&format!("{name}_in_flight_requests"), &[], PATIENCE, |in_flight| in_flight == 0).await;
        }
    });
}

#[test]
fn a_caller_that_left_is_counted_as_such_at_every_hop() {
    bounded(async {
        let (mesh, _occupant) = busy_mesh().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let open = connection.send(&waiting()).await.unwrap();
        depth(&mesh.workers[0], 1).await;
        drop(open);
        for (instance, name) in [(&mesh.gateways[0], "torchmesh_gateway"), (&mesh.routers[0], "torchmesh_router")] {
            let name = format!("{name}_requests_total");
            instance.metric_until(&name, &[("code", "CallerLeft")], PATIENCE, |left| left == 1).await;
        }
    });
}

#[test]
fn a_stream_that_is_dropped_takes_all_its_requests_with_it() {
    bounded(async {
        let (mesh, _occupant) = busy_mesh().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let mut open = connection.begin(&Call::of_bytes(raw::MODEL_STREAM_INFER, "").with_key()).await.unwrap();
        for _ in 0..3 {
            raw::send_all(&mut open.upload, frame::encode(&client::slow(Duration::ZERO)), false).await.unwrap();
        }
        depth(&mesh.workers[0], 3).await;
        let began = Instant::now();
        drop(open);
        depth(&mesh.workers[0], 0).await;
        assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    });
}
