//! What a hop does about endpoints that freeze or fail, against endpoints on real sockets.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use torchmesh_api::error::ErrorKind;
use torchmesh_relay::{
    Affinity, Endpoint, Groups, HedgeSettings, Relay, RelayMetrics, RelaySettings, RetrySettings,
    balance::{BalanceSettings, Policy, ring},
    breaker::BreakerSettings,
};

use crate::fake::{BOUND, Manner, call, endpoint, relay, send_to};

fn hedging(budget_reserve: u32) -> RelaySettings {
    let hedge = HedgeSettings { budget_ratio: 0.0, budget_reserve, ..HedgeSettings::after(0.99, Duration::from_millis(10)) };
    // In turn, so that the frozen endpoint gets its share of first tries however slow it is.
    let balance = BalanceSettings { policy: Policy::RoundRobin, ..Default::default() };
    RelaySettings { hedge, balance, ..Default::default() }
}

fn relay_with(settings: &RelaySettings) -> Relay {
    Relay::for_threads(1, settings).remove(0)
}

fn group_of(settings: &RelaySettings, endpoints: &[Arc<Endpoint>]) -> Arc<torchmesh_relay::Group> {
    Groups::new(*settings, RelayMetrics::default()).update("group", endpoints)
}

#[tokio::test]
async fn a_frozen_endpoint_is_not_waited_for_once_it_is_known_how_long_calls_take() {
    let settings = hedging(100);
    let (good, answered) = endpoint("good", Manner::Answers).await;
    let (frozen, asked) = endpoint("frozen", Manner::IsFrozen).await;
    let (groups, relay) = (Groups::new(settings, RelayMetrics::default()), relay_with(&settings));
    let healthy = groups.update("group", &[Arc::clone(&good)]);
    for _ in 0..200 {
        send_to(&relay, false, &healthy).await.unwrap();
    }
    let group = groups.update("group", &[good, Arc::clone(&frozen)]);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "0");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "twenty calls took {:?}; a call has ten seconds, half of which are five",
        began.elapsed()
    );
    assert_eq!(asked.load(Ordering::SeqCst), 10, "every second call went to the frozen endpoint first");
    assert_eq!(answered.load(Ordering::SeqCst), 220);
    assert_eq!(frozen.in_flight(), 0, "whoever lost is cancelled");
}

#[tokio::test]
async fn hedges_stay_within_their_budget() {
    let settings = hedging(3);
    let (a, first) = endpoint("a", Manner::IsFrozen).await;
    let (b, second) = endpoint("b", Manner::IsFrozen).await;
    let group = group_of(&settings, &[a, b]);
    let relay = relay_with(&settings);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (relay, group) = (relay.clone(), Arc::clone(&group));
        calls.spawn(async move {
            let mut call = call(&relay, false);
            call.deadline = Some(Instant::now() + Duration::from_millis(100));
            let _ = tokio::time::timeout(Duration::from_millis(300), relay.send(call, &group)).await;
        });
    }
    calls.join_all().await;
    assert_eq!(first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst), 13);
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone_and_tried_again_by_one_call() {
    let breaker = BreakerSettings { pause: Duration::from_millis(300), ..Default::default() };
    let settings = RelaySettings { breaker, ..Default::default() };
    let (bad, failed) = endpoint("bad", Manner::SaysUnavailable).await;
    let (good, _) = endpoint("good", Manner::Answers).await;
    let group = group_of(&settings, &[bad, good]);
    let relay = relay(3, 1000);
    for _ in 0..200 {
        assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "0");
    }
    let before = failed.load(Ordering::SeqCst);
    assert!((5..=7).contains(&before), "{before} calls went to an endpoint that answered none");
    let began = Instant::now();
    while failed.load(Ordering::SeqCst) == before {
        assert!(began.elapsed() < Duration::from_secs(10), "it was never tried again");
        assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "0");
    }
    assert!(failed.load(Ordering::SeqCst) <= before + 1, "one call is enough to see that it still fails");
}

#[tokio::test]
async fn when_all_fail_nobody_is_left_alone() {
    let settings = RelaySettings::default();
    let (a, first) = endpoint("a", Manner::SaysUnavailable).await;
    let (b, second) = endpoint("b", Manner::SaysUnavailable).await;
    let group = group_of(&settings, &[a, b]);
    let relay = relay(1, 1000);
    for _ in 0..100 {
        assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "14");
    }
    let (first, second) = (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
    assert_eq!(first + second, 100);
    assert!(first.min(second) > 0, "{first} {second}");
}

#[tokio::test]
async fn calls_with_one_key_go_to_one_endpoint_and_other_keys_to_others() {
    let balance = BalanceSettings { policy: Policy::Hash, ..Default::default() };
    let settings = RelaySettings { balance, ..Default::default() };
    let mut endpoints = Vec::new();
    for name in ["a", "b", "c", "d"] {
        endpoints.push(endpoint(name, Manner::Answers).await);
    }
    let (endpoints, counts): (Vec<_>, Vec<_>) = endpoints.into_iter().unzip();
    let group = group_of(&settings, &endpoints);
    let relay = relay(1, 1000);
    let counted = || counts.iter().map(|count| count.load(Ordering::SeqCst)).collect::<Vec<_>>();
    for key in 0..20_u32 {
        let before = counted();
        for _ in 0..10 {
            let mut call = call(&relay, false);
            call.steering.key = Some(Affinity { session: Some(ring::hash(&key)), prefix: None });
            relay.send(call, &group).await.unwrap();
        }
        let got: Vec<_> = counted().iter().zip(before).map(|(after, before)| after - before).filter(|calls| *calls > 0).collect();
        assert_eq!(got, [10], "the calls of key {key} were spread");
    }
    assert!(counted().iter().filter(|calls| **calls > 0).count() > 1, "{:?}", counted());
}

#[tokio::test]
async fn a_call_that_two_endpoints_failed_at_once_is_sent_to_neither_again() {
    let settings = hedging(10);
    let (good, _) = endpoint("good", Manner::Answers).await;
    let (a, first) = endpoint("a", Manner::FailsLate).await;
    let (b, second) = endpoint("b", Manner::FailsLate).await;
    let (groups, relay) = (Groups::new(settings, RelayMetrics::default()), relay_with(&settings));
    let healthy = groups.update("group", &[good]);
    for _ in 0..200 {
        send_to(&relay, false, &healthy).await.unwrap();
    }
    let group = groups.update("group", &[a, b]);
    assert!(send_to(&relay, false, &group).await.is_err());
    assert_eq!((first.load(Ordering::SeqCst), second.load(Ordering::SeqCst)), (1, 1));
}

/// Calls of so many that each of two endpoints got, which say this of their queues.
async fn reporting(first: &'static str, second: &'static str, streaming: bool) -> (usize, usize) {
    let balance = BalanceSettings { policy: Policy::Reported, decay: Duration::from_secs(60), ..Default::default() };
    let settings = RelaySettings { balance, ..Default::default() };
    let (a, first) = endpoint("a", Manner::Reports(first)).await;
    let (b, second) = endpoint("b", Manner::Reports(second)).await;
    let (group, relay) = (group_of(&settings, &[a, b]), relay(1, 1000));
    for _ in 0..60 {
        assert_eq!(send_to(&relay, streaming, &group).await.unwrap().1, "0");
    }
    (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_worker_that_says_that_calls_wait_there_gets_none_until_it_says_otherwise() {
    for streaming in [false, true] {
        let (busy, idle) = reporting("depth=40, wait-us=60000000", "depth=0, wait-us=0", streaming).await;
        assert_eq!((busy, idle), (1, 59), "streaming: {streaming}");
    }
}

#[tokio::test]
async fn a_report_that_cannot_be_read_is_as_none() {
    let (said, silent) = reporting("depth=40, wait-us=lots", "", false).await;
    assert!(said.min(silent) > 1, "{said} {silent}");
}

#[tokio::test]
async fn when_all_endpoints_have_as_many_calls_as_they_may_have_a_call_is_refused_at_once_and_afterwards_let_in_again() {
    let settings = RelaySettings { adaptive: Some(2), ..Default::default() };
    let (a, first) = endpoint("a", Manner::IsFrozen).await;
    let (b, second) = endpoint("b", Manner::IsFrozen).await;
    let (group, relay) = (group_of(&settings, &[a, b]), relay(3, 1000));
    let asked = || first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst);
    let until = async |count: usize| {
        while asked() < count {
            tokio::task::yield_now().await;
        }
    };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (relay, group) = (relay.clone(), Arc::clone(&group));
        calls.spawn(async move { send_to(&relay, false, &group).await });
    }
    tokio::time::timeout(BOUND, until(4)).await.expect("four calls are let in");
    assert_eq!(send_to(&relay, false, &group).await.unwrap_err(), ErrorKind::ResourceExhausted);
    assert_eq!(asked(), 4);
    calls.shutdown().await;
    let again = tokio::spawn(async move { send_to(&relay, false, &group).await });
    tokio::time::timeout(BOUND, until(5)).await.expect("there is room again");
    again.abort();
}

/// Answers have to begin within 50 ms; so many that do not are tried again.
fn impatient(budget_reserve: u32) -> RelaySettings {
    let head_within = Some(Duration::from_millis(50));
    let retry = RetrySettings { max_attempts: 3, budget_ratio: 0.0, budget_reserve, keep_bytes: 1000, head_within };
    let balance = BalanceSettings { policy: Policy::RoundRobin, ..Default::default() };
    let breaker = BreakerSettings { pause: Duration::from_secs(10), ..Default::default() };
    RelaySettings { retry, balance, breaker, ..Default::default() }
}

#[tokio::test]
async fn a_stream_at_an_endpoint_that_says_nothing_is_sent_to_another_which_is_left_alone_then() {
    let settings = impatient(100);
    let (good, answered) = endpoint("good", Manner::Answers).await;
    let (frozen, asked) = endpoint("frozen", Manner::IsFrozen).await;
    let (group, relay) = (group_of(&settings, &[good, Arc::clone(&frozen)]), relay_with(&settings));
    for _ in 0..20 {
        assert_eq!(send_to(&relay, true, &group).await.unwrap().1, "0");
    }
    assert_eq!((asked.load(Ordering::SeqCst), answered.load(Ordering::SeqCst)), (5, 20), "five failures open its breaker");
    assert_eq!(frozen.in_flight(), 0, "what was given up is cancelled");
}

#[tokio::test]
async fn silence_is_tried_again_within_the_budget_and_waited_for_beyond_it() {
    let settings = impatient(3);
    let (a, first) = endpoint("a", Manner::AnswersLate).await;
    let (b, second) = endpoint("b", Manner::AnswersLate).await;
    let (group, relay) = (group_of(&settings, &[a, b]), relay_with(&settings));
    for _ in 0..5 {
        assert_eq!(send_to(&relay, true, &group).await.unwrap().1, "0", "who is slow is better than nobody");
    }
    assert_eq!(first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn an_endpoint_that_says_nothing_for_long_is_waited_for_where_there_is_no_other() {
    let settings = impatient(100);
    let (slow, asked) = endpoint("slow", Manner::AnswersLate).await;
    let (group, relay) = (group_of(&settings, &[slow]), relay_with(&settings));
    assert_eq!(send_to(&relay, true, &group).await.unwrap().1, "0");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_group_fails_when_all_its_endpoints_do_and_is_called_by_whoever_has_nowhere_else_to_go() {
    let breaker = BreakerSettings { pause: Duration::from_secs(10), ..Default::default() };
    let settings = RelaySettings { breaker, ..Default::default() };
    let (a, first) = endpoint("a", Manner::SaysUnavailable).await;
    let (b, second) = endpoint("b", Manner::SaysUnavailable).await;
    let (groups, relay) = (Groups::new(settings, RelayMetrics::default()), relay(1, 1000));
    let group = groups.update("group", &[a, b]);
    assert!(!group.is_failing());
    for _ in 0..10 {
        assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "14");
    }
    assert!(group.is_failing());
    assert_eq!(first.load(Ordering::SeqCst) + second.load(Ordering::SeqCst), 10, "nobody was kept away");
    // Its endpoints change, and what is known of it stays.
    let (good, _) = endpoint("good", Manner::Answers).await;
    let group = groups.update("group", &[good]);
    assert!(group.is_failing());
    assert_eq!(send_to(&relay, false, &group).await.unwrap().1, "0");
    assert!(!group.is_failing(), "it answers");
}
