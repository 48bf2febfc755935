//! How many connections there are to one endpoint.

use std::{sync::Arc, time::Duration};

use h2::server;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use torchmesh_api::ids::InstanceId;
use torchmesh_relay::{Endpoint, Group, Groups, Relay, RelayMetrics, RelaySettings};

use crate::fake::{BOUND, call};

/// What an endpoint does with connections that it has no room for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beyond {
    Closes,
    SaysNothing,
}

/// An endpoint that takes so many connections, reads what comes and never answers; and the calls on each of its connections.
async fn with_room_for(connections: usize, beyond: Beyond) -> (Arc<Endpoint>, watch::Receiver<Vec<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(InstanceId::parse("frozen").unwrap(), listener.local_addr().unwrap(), 1);
    let (calls, seen) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let (mut taken, mut silent) = (0, Vec::new());
        while let Ok((stream, _)) = listener.accept().await {
            if taken == connections {
                if beyond == Beyond::SaysNothing {
                    silent.push(stream);
                }
                continue;
            }
            let (at, calls) = (taken, calls.clone());
            taken += 1;
            calls.send_modify(|calls| calls.push(0));
            tokio::spawn(async move {
                let mut kept = Vec::new();
                let mut connection = server::handshake(stream).await.unwrap();
                while let Some(Ok(call)) = connection.accept().await {
                    kept.push(call);
                    calls.send_modify(|calls| calls[at] += 1);
                }
            });
        }
    });
    (Arc::new(endpoint), seen)
}

fn hop(calls_per_connection: usize, endpoint: &Arc<Endpoint>) -> (Relay, Arc<Group>) {
    let mut settings = RelaySettings::default();
    settings.balance.calls_per_connection = calls_per_connection;
    let relay = Relay::for_threads(1, &settings).remove(0);
    (relay, Groups::new(settings, RelayMetrics::default()).update("group", &[Arc::clone(endpoint)]))
}

/// Sends one call after the other, each when the one before it has arrived; says what is on each connection then.
async fn seven_calls(relay: &Relay, group: &Arc<Group>, seen: &mut watch::Receiver<Vec<usize>>) -> Vec<usize> {
    for sent in 1..=7 {
        let (relay, group) = (relay.clone(), Arc::clone(group));
        tokio::spawn(async move { relay.send(call(&relay, false), &group).await.map(drop) });
        timeout(BOUND, seen.wait_for(|calls| calls.iter().sum::<usize>() == sent)).await.expect("a call does not arrive").unwrap();
    }
    seen.borrow().clone()
}

#[tokio::test]
async fn calls_that_a_connection_has_no_room_for_go_by_another() {
    let (endpoint, mut seen) = with_room_for(8, Beyond::Closes).await;
    let (relay, group) = hop(2, &endpoint);
    assert_eq!(seven_calls(&relay, &group, &mut seen).await, [2, 2, 2, 1]);
}

#[tokio::test]
async fn one_connection_is_enough_for_as_many_calls_as_it_has_room_for() {
    let (endpoint, mut seen) = with_room_for(8, Beyond::Closes).await;
    let (relay, group) = hop(7, &endpoint);
    assert_eq!(seven_calls(&relay, &group, &mut seen).await, [7]);
}

#[tokio::test]
async fn an_endpoint_that_takes_no_further_connection_gets_its_calls_by_the_first() {
    for beyond in [Beyond::Closes, Beyond::SaysNothing] {
        let (endpoint, mut seen) = with_room_for(1, beyond).await;
        let (relay, group) = hop(2, &endpoint);
        assert_eq!(seven_calls(&relay, &group, &mut seen).await, [7], "{beyond:?}");
        assert!(!endpoint.is_paused(), "an endpoint with calls on a good connection was taken for one that is away");
    }
}

#[tokio::test]
async fn calls_that_wait_for_a_connection_that_cannot_be_had_wait_for_it_together() {
    let (endpoint, mut seen) = with_room_for(1, Beyond::SaysNothing).await;
    let (relay, group) = hop(10, &endpoint);
    for _ in 0..20 {
        let (relay, group) = (relay.clone(), Arc::clone(&group));
        tokio::spawn(async move { relay.send(call(&relay, false), &group).await.map(drop) });
    }
    // It takes a second to find out, and would take ten if each of the ten tried for itself.
    timeout(BOUND / 2, seen.wait_for(|calls| *calls == [20])).await.expect("calls wait one after the other").unwrap();
}

#[tokio::test]
async fn calls_that_are_given_up_make_room() {
    let (endpoint, mut seen) = with_room_for(8, Beyond::Closes).await;
    let (relay, group) = hop(1, &endpoint);
    for sent in 1..=3 {
        let given_up = timeout(Duration::from_millis(100), relay.send(call(&relay, false), &group)).await;
        assert!(given_up.is_err(), "a frozen endpoint answered");
        timeout(BOUND, seen.wait_for(|calls| calls.iter().sum::<usize>() == sent)).await.expect("a call does not arrive").unwrap();
    }
    assert_eq!(*seen.borrow(), [3]);
}
