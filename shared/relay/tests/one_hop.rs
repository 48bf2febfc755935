//! Calls through one hop, against endpoints on real sockets that misbehave on purpose.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::server;
use http::{HeaderMap, HeaderValue, Response, uri::PathAndQuery};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::{net::TcpListener, time::timeout};
use torchmesh_api::{
    error::ErrorKind,
    headers::{GRPC_STATUS, GRPC_TIMEOUT},
    ids::InstanceId,
};
use torchmesh_relay::{Call, Endpoint, Relay, RetrySettings, Source};

const MESSAGE: &[u8] = &[0, 0, 0, 0, 3, 0x0a, 1, b'm'];
const BOUND: Duration = Duration::from_secs(10);

/// How an endpoint treats a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    SaysUnavailable,
    /// Reads the call, then closes the connection without a word.
    DropsTheConnection,
    /// Sends one message of its answer, then closes the connection.
    BreaksOff,
    /// Answers, and asks the caller to come by another connection next time.
    AnswersAndSaysGoaway,
}

/// An endpoint on a free port; counts the calls that it got.
async fn endpoint(name: &str, manner: Manner) -> (Arc<Endpoint>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(InstanceId::parse(name).unwrap(), listener.local_addr().unwrap(), 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut connection = server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut reply))) = connection.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    assert!(request.headers().contains_key(GRPC_TIMEOUT));
                    let mut trailers = HeaderMap::new();
                    trailers.insert(GRPC_STATUS, HeaderValue::from_static(if manner == Manner::SaysUnavailable { "14" } else { "0" }));
                    match manner {
                        Manner::DropsTheConnection => return,
                        Manner::SaysUnavailable => {
                            let mut head = Response::new(());
                            *head.headers_mut() = trailers;
                            reply.send_response(head, true).unwrap();
                        }
                        Manner::BreaksOff => {
                            let mut body = reply.send_response(Response::new(()), false).unwrap();
                            body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
                            let _ = timeout(Duration::from_millis(50), std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
                            return;
                        }
                        Manner::Answers | Manner::AnswersAndSaysGoaway => {
                            let mut body = reply.send_response(Response::new(()), false).unwrap();
                            body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
                            body.send_trailers(trailers).unwrap();
                            if manner == Manner::AnswersAndSaysGoaway {
                                connection.graceful_shutdown();
                            }
                        }
                    }
                }
            });
        }
    });
    (Arc::new(endpoint), calls)
}

/// A body that is not whole when the call begins: its one frame comes later.
struct Late(Option<Bytes>);

impl Body for Late {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.0.take().map(|frame| Ok(Frame::data(frame))))
    }
}

fn relay(max_attempts: u32, keep_bytes: usize) -> Relay {
    Relay::for_threads(1, RetrySettings { max_attempts, budget_ratio: 0.0, budget_reserve: 100, keep_bytes }).remove(0)
}

fn call(relay: &Relay, streaming: bool) -> Call<Late> {
    Call {
        path: PathAndQuery::from_static("/test/Call"),
        headers: HeaderMap::new(),
        deadline: Some(Instant::now() + BOUND),
        streaming,
        source: Source::new(Late(Some(Bytes::from_static(MESSAGE))), relay.keep_bytes()),
    }
}

/// The answer's data and status.
async fn send(relay: &Relay, streaming: bool, endpoints: &[Arc<Endpoint>]) -> Result<(Bytes, String), ErrorKind> {
    let sent = timeout(BOUND, relay.send(call(relay, streaming), endpoints)).await.expect("the call hangs");
    let response = sent.map_err(|error| error.kind)?;
    let head = response.headers().get(GRPC_STATUS).cloned();
    let body = timeout(BOUND, response.into_body().collect()).await.expect("the answer hangs").unwrap();
    let status = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS)).cloned().or(head).expect("no status came");
    Ok((body.to_bytes(), status.to_str().unwrap().to_owned()))
}

/// An address at which nobody listens.
async fn nobody() -> Arc<Endpoint> {
    let addr: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Arc::new(Endpoint::new(InstanceId::parse("nobody").unwrap(), addr, 1))
}

#[tokio::test]
async fn a_call_reaches_the_endpoint_and_its_answer_comes_back_whole() {
    let (good, calls) = endpoint("good", Manner::Answers).await;
    assert_eq!(send(&relay(3, 1000), false, &[good]).await.unwrap(), (Bytes::from_static(MESSAGE), "0".into()));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_endpoint_that_dies_or_is_unavailable_is_replaced_by_another() {
    for manner in [Manner::DropsTheConnection, Manner::SaysUnavailable, Manner::BreaksOff] {
        let (bad, _) = endpoint("bad", manner).await;
        let (good, calls) = endpoint("good", Manner::Answers).await;
        let relay = relay(3, 1000);
        let endpoints = [bad, good];
        for _ in 0..20 {
            assert_eq!(send(&relay, false, &endpoints).await.unwrap().1, "0", "{manner:?}");
        }
        assert_eq!(calls.load(Ordering::SeqCst), 20, "{manner:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_costs_no_retry() {
    let (good, _) = endpoint("good", Manner::Answers).await;
    let endpoints = [nobody().await, nobody().await, good];
    let relay = relay(1, 1000);
    for _ in 0..20 {
        assert_eq!(send(&relay, false, &endpoints).await.unwrap().1, "0");
    }
}

#[tokio::test]
async fn without_another_endpoint_the_callers_answer_is_unavailable() {
    assert_eq!(send(&relay(3, 1000), false, &[]).await.unwrap_err(), ErrorKind::Unavailable);
    assert_eq!(send(&relay(3, 1000), false, &[nobody().await]).await.unwrap_err(), ErrorKind::Unavailable);
    let (busy, calls) = endpoint("busy", Manner::SaysUnavailable).await;
    assert_eq!(send(&relay(3, 1000), false, &[busy]).await.unwrap().1, "14");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn retries_stop_at_the_limit_and_a_call_too_large_to_keep_is_tried_once() {
    let endpoints = async || {
        let mut all = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            all.push(endpoint(name, Manner::DropsTheConnection).await);
        }
        all
    };
    for (keep, want) in [(1000, 3), (2, 1)] {
        let all = endpoints().await;
        let (targets, counts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        assert_eq!(send(&relay(3, keep), false, &targets).await.unwrap_err(), ErrorKind::Unavailable);
        assert_eq!(counts.iter().map(|count| count.load(Ordering::SeqCst)).sum::<usize>(), want);
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_is_not_begun_again_and_ends_with_a_status() {
    let (cut, cut_calls) = endpoint("cut", Manner::BreaksOff).await;
    let (data, status) = send(&relay(3, 1000), true, &[cut]).await.unwrap();
    assert_eq!((data, status.as_str()), (Bytes::from_static(MESSAGE), "14"));
    assert_eq!(cut_calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_its_endpoint_closes_is_replaced_without_the_caller_noticing() {
    let (leaving, calls) = endpoint("leaving", Manner::AnswersAndSaysGoaway).await;
    let relay = relay(1, 1000);
    let endpoints = [leaving];
    for _ in 0..20 {
        assert_eq!(send(&relay, false, &endpoints).await.unwrap().1, "0");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_call_out_of_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Arc::new(Endpoint::new(InstanceId::parse("silent").unwrap(), listener.local_addr().unwrap(), 1));
    let relay = relay(3, 1000);
    let endpoints = [Arc::clone(&silent)];
    let waiting = timeout(Duration::from_millis(100), relay.send(call(&relay, false), &endpoints)).await;
    assert!(waiting.is_err(), "a silent endpoint answered");
    assert_eq!(silent.in_flight(), 0);
}
