//! Endpoints on real sockets that behave or misbehave on purpose, and calls to them.

use std::{
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
    headers::{GRPC_STATUS, GRPC_TIMEOUT, X_TORCHMESH_LOAD},
    ids::InstanceId,
};
use torchmesh_relay::{Call, Endpoint, Group, Groups, Relay, RelayMetrics, RelaySettings, RetrySettings, Source, Steering};

pub(crate) const MESSAGE: &[u8] = &[0, 0, 0, 0, 3, 0x0a, 1, b'm'];
pub(crate) const BOUND: Duration = Duration::from_secs(10);

/// How an endpoint treats a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Answers,
    /// Answers, and says this in `x-torchmesh-load`.
    Reports(&'static str),
    /// Reads the call and never answers.
    IsFrozen,
    /// Reads the call, and closes the connection after 120 ms without a word.
    FailsLate,
    SaysUnavailable,
    /// Reads the call, then closes the connection without a word.
    DropsTheConnection,
    /// Sends one message of its answer, then closes the connection.
    BreaksOff,
    /// Answers, and asks the caller to come by another connection next time.
    AnswersAndSaysGoaway,
    /// Answers after 120 ms.
    AnswersLate,
}

/// An endpoint on a free port; counts the calls that it got.
pub(crate) async fn endpoint(name: &str, manner: Manner) -> (Arc<Endpoint>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(InstanceId::parse(name).unwrap(), listener.local_addr().unwrap(), 1);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut frozen = Vec::new();
                let mut connection = server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut reply))) = connection.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    assert!(request.headers().contains_key(GRPC_TIMEOUT));
                    let mut trailers = HeaderMap::new();
                    trailers.insert(GRPC_STATUS, HeaderValue::from_static(if manner == Manner::SaysUnavailable { "14" } else { "0" }));
                    match manner {
                        Manner::IsFrozen => frozen.push(reply),
                        Manner::FailsLate => {
                            frozen.push(reply);
                            let _ = timeout(Duration::from_millis(120), std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
                            return;
                        }
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
                        Manner::Answers | Manner::AnswersAndSaysGoaway | Manner::AnswersLate | Manner::Reports(_) => {
                            if manner == Manner::AnswersLate {
                                let _ = timeout(Duration::from_millis(120), std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
                            }
                            let mut head = Response::new(());
                            if let Manner::Reports(load) = manner {
                                head.headers_mut().insert(X_TORCHMESH_LOAD, HeaderValue::from_static(load));
                            }
                            // Whoever has given the call up reads no answer.
                            if let Ok(mut body) = reply.send_response(head, false) {
                                let _ = body.send_data(Bytes::from_static(MESSAGE), false).and_then(|()| body.send_trailers(trailers));
                            }
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
pub(crate) struct Late(Option<Bytes>);

impl Body for Late {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.0.take().map(|frame| Ok(Frame::data(frame))))
    }
}

pub(crate) fn relay(max_attempts: u32, keep_bytes: usize) -> Relay {
    let retry = RetrySettings { max_attempts, budget_ratio: 0.0, budget_reserve: 100, keep_bytes, head_within: None };
    Relay::for_threads(1, &RelaySettings { retry, ..Default::default() }).remove(0)
}

pub(crate) fn group(endpoints: &[Arc<Endpoint>]) -> Arc<Group> {
    Groups::new(RelaySettings::default(), RelayMetrics::default()).update("group", endpoints)
}

pub(crate) fn call(relay: &Relay, streaming: bool) -> Call<Late> {
    Call {
        path: PathAndQuery::from_static("/test/Call"),
        headers: HeaderMap::new(),
        deadline: Some(Instant::now() + BOUND),
        streaming,
        steering: Steering::default(),
        source: Source::new(Late(Some(Bytes::from_static(MESSAGE))), relay.keep_bytes()),
    }
}

/// The answer's data and status.
pub(crate) async fn send(relay: &Relay, streaming: bool, endpoints: &[Arc<Endpoint>]) -> Result<(Bytes, String), ErrorKind> {
    send_to(relay, streaming, &group(endpoints)).await
}

pub(crate) async fn send_to(relay: &Relay, streaming: bool, group: &Arc<Group>) -> Result<(Bytes, String), ErrorKind> {
    let sent = timeout(BOUND, relay.send(call(relay, streaming), group)).await.expect("the call hangs");
    let response = sent.map_err(|error| error.kind)?;
    let head = response.headers().get(GRPC_STATUS).cloned();
    let body = timeout(BOUND, response.into_body().collect()).await.expect("the answer hangs").unwrap();
    let status = body.trailers().and_then(|trailers| trailers.get(GRPC_STATUS)).cloned().or(head).expect("no status came");
    Ok((body.to_bytes(), status.to_str().unwrap().to_owned()))
}
