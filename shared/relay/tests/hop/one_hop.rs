//! Calls through one hop, against endpoints on real sockets that misbehave on purpose.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::TcpListener, time::timeout};
use torchmesh_api::{error::ErrorKind, ids::InstanceId};
use torchmesh_relay::Endpoint;

use crate::fake::{MESSAGE, Manner, call, endpoint, group, relay, send};

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
    let group = group(&[Arc::clone(&silent)]);
    let waiting = timeout(Duration::from_millis(100), relay.send(call(&relay, false), &group)).await;
    assert!(waiting.is_err(), "a silent endpoint answered");
    assert_eq!(silent.in_flight(), 0);
}
