//! What replicas agree on in Kubernetes' objects, and who of them leads: at an API server that keeps objects as the real one does, and may be away, refuse or talk garbage.

mod api_server;

use std::time::Duration;

use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use torchmesh_discovery::{
    agreed::{Lead, Versioned},
    kubernetes::{Client, KubernetesError, documents::MOST_BYTES, lease},
};

use api_server::{ApiServer, Mood, PATIENCE};

const MAPS: &str = "/api/v1/namespaces/models/configmaps";
const LEASE: &str = "GET /apis/coordination.k8s.io/v1/namespaces/models/leases/shop.leader";

/// Lets so much time pass at once. What waits for a socket takes none of it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Lets time pass until the client with this token has asked so twice: what it asked first has been answered by then.
async fn pass_until_asked_again(server: &ApiServer, token: &str, line: &str) {
    let asked = server.times_asked(token, line);
    let again = async {
        while server.times_asked(token, line) <= asked + 1 {
            pass(Duration::from_millis(50)).await;
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE * 100, again).await.unwrap_or_else(|_| panic!("{token} does not ask {line}"));
}

/// What is told of a document: nothing yet, that there is none, or what it says.
type Told = Option<Option<Versioned>>;

fn follow(client: &Client, path: &'static str) -> watch::Receiver<Told> {
    let (sender, receiver) = watch::channel(None);
    let client = client.clone();
    tokio::spawn(async move { client.follow(path, |now| drop(sender.send_replace(Some(now)))).await });
    receiver
}

async fn next(told: &mut watch::Receiver<Told>) -> Option<String> {
    timeout(PATIENCE, told.changed()).await.expect("something is told").unwrap();
    told.borrow_and_update().clone().unwrap().map(|document| document.text)
}

async fn version(client: &Client, path: &str) -> u64 {
    client.document(path).await.unwrap().map_or(0, |document| document.version)
}

async fn until(lead: &Lead, wanted: bool) {
    let changed = async {
        while lead.holds() != wanted {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, changed).await.expect("it changes hands");
}

#[tokio::test]
async fn a_document_is_a_config_map_that_says_what_it_is() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    assert_eq!(client.document("routes").await.unwrap(), None);
    assert!(client.swap("routes", 0, "one").await.unwrap());
    let map = server.object("configmaps", "shop.routes").unwrap();
    assert_eq!((&map["apiVersion"], &map["kind"], &map["data"]), (&json!("v1"), &json!("ConfigMap"), &json!({ "text": "one" })));
    assert_eq!(map["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "torchmesh", "torchmesh/store": "shop" }));
    assert_eq!(map["metadata"]["annotations"], json!({ "torchmesh/path": "routes" }));
    assert_eq!(client.document("routes").await.unwrap().unwrap().text, "one");
}

#[tokio::test]
async fn of_two_that_swap_at_once_one_wins_and_who_knows_an_old_version_changes_nothing() {
    let server = ApiServer::start().await;
    let (first, second) = (server.client("r1"), server.client("r2"));
    let (a, b) = tokio::join!(first.swap("routes", 0, "first"), second.swap("routes", 0, "second"));
    assert!(a.unwrap() != b.unwrap(), "one of them made it");
    let known = version(&first, "routes").await;
    let (a, b) = tokio::join!(first.swap("routes", known, "third"), second.swap("routes", known, "fourth"));
    assert!(a.unwrap() != b.unwrap(), "one of them replaced it");
    assert!(!first.swap("routes", known, "fifth").await.unwrap());
    // What is gone cannot be replaced, nor is it made again by whoever thinks that it is there.
    let known = version(&first, "routes").await;
    server.remove("configmaps", "shop.routes");
    assert!(!first.swap("routes", known, "sixth").await.unwrap());
    assert_eq!(first.document("routes").await.unwrap(), None);
}

#[tokio::test]
async fn documents_of_a_folder_are_listed_by_the_names_that_they_truly_have() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    for path in ["rollouts/b_B", "rollouts/a", "rollouts/B-b", "routes"] {
        assert!(client.swap(path, 0, path).await.unwrap());
    }
    let listed: Vec<_> = client.documents("rollouts").await.unwrap().into_iter().map(|(name, document)| (name, document.text)).collect();
    let wanted = ["B-b", "a", "b_B"].map(|name| (name.to_owned(), format!("rollouts/{name}")));
    assert_eq!(listed, wanted);
}

#[tokio::test]
async fn a_change_is_told_to_who_watches_and_what_is_the_same_is_not() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    let mut told = follow(&server.client("r2"), "routes");
    assert_eq!(next(&mut told).await, None);
    assert!(client.swap("rollouts/a", 0, "another document").await.unwrap());
    assert!(client.swap("routes", 0, "one").await.unwrap());
    assert_eq!(next(&mut told).await.unwrap(), "one");
    let known = version(&client, "routes").await;
    assert!(client.swap("routes", known, "two").await.unwrap());
    assert_eq!(next(&mut told).await.unwrap(), "two");
    server.remove("configmaps", "shop.routes");
    assert_eq!(next(&mut told).await, None);
}

#[tokio::test]
async fn a_server_that_is_away_refuses_or_talks_garbage_takes_nothing_away() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    assert!(client.swap("routes", 0, "one").await.unwrap());
    let mut told = follow(&server.client("r2"), "routes");
    assert_eq!(next(&mut told).await.unwrap(), "one");
    for mood in [Mood::Refusing(403), Mood::Refusing(500), Mood::Garbage] {
        server.treat("r2", mood);
        server.end_watches();
        pass_until_asked_again(&server, "r2", "GET").await;
        assert!(!told.has_changed().unwrap(), "{mood:?} is no news");
    }
    // Neither is what somebody else has put in its place.
    let foreign = json!({ "metadata": { "name": "shop.routes" }, "data": { "text": "foreign" } });
    server.put("configmaps", foreign);
    server.treat("r2", Mood::Well);
    pass_until_asked_again(&server, "r2", "GET").await;
    assert!(!told.has_changed().unwrap());
    let refused = client.document("routes").await.unwrap_err();
    assert!(matches!(refused, KubernetesError::Foreign { .. }) && refused.to_string().contains("shop.routes"), "{refused}");
    server.remove("configmaps", "shop.routes");
    assert!(client.swap("routes", 0, "two").await.unwrap());
    while next(&mut told).await.as_deref() != Some("two") {}
}

#[tokio::test]
async fn a_server_that_has_forgotten_what_changed_is_asked_for_what_there_is() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    assert!(client.swap("routes", 0, "one").await.unwrap());
    let mut told = follow(&server.client("r2"), "routes");
    assert_eq!(next(&mut told).await.unwrap(), "one");
    server.until_asked("r2", "WATCH", 0).await;
    // The watch is cut, and before it is made again there is a change that nobody will be told of.
    server.treat("r2", Mood::Refusing(410));
    server.end_watches();
    server.until_asked("r2", "WATCH", 1).await;
    let known = version(&client, "routes").await;
    assert!(client.swap("routes", known, "two").await.unwrap());
    server.forget();
    server.treat("r2", Mood::Well);
    assert_eq!(next(&mut told).await.unwrap(), "two");
}

#[tokio::test]
async fn a_refusal_says_which_rule_of_rbac_is_missing() {
    let server = ApiServer::start().await;
    server.treat("r1", Mood::Refusing(403));
    let client = server.client("r1");
    let right = |verb: &str| format!("needs the verb {verb} for configmaps (apiGroup \"\") in the namespace models");
    let refusals = [
        ("get", client.document("routes").await.unwrap_err()),
        ("list", client.documents("rollouts").await.unwrap_err()),
        ("create", client.swap("routes", 0, "one").await.unwrap_err()),
        ("update", client.swap("routes", 7, "one").await.unwrap_err()),
    ];
    for (verb, refused) in refusals {
        assert!(matches!(refused, KubernetesError::Denied { status: 403, .. }) && refused.to_string().contains(&right(verb)), "{refused}");
    }
}

#[tokio::test]
async fn what_answers_garbage_or_nothing_has_stored_nothing_as_far_as_anybody_knows() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    server.treat("r1", Mood::Garbage);
    assert!(matches!(client.document("routes").await.unwrap_err(), KubernetesError::Garbage { .. }));
    // A 404 that is not the API server's says nothing of a document.
    server.treat("r1", Mood::Refusing(404));
    assert!(matches!(client.document("routes").await.unwrap_err(), KubernetesError::Failed { status: 404, .. }));
    server.treat("r1", Mood::Silent);
    let (hangs, asked) = (client.clone(), server.times_asked("r1", "POST"));
    let hangs = tokio::spawn(async move { hangs.swap("routes", 0, "one").await });
    server.until_asked("r1", "POST", asked).await;
    pass(Duration::from_secs(11)).await;
    assert!(matches!(timeout(PATIENCE, hangs).await.unwrap().unwrap(), Err(KubernetesError::Unreachable { .. })));
}

#[tokio::test]
async fn a_document_that_kubernetes_would_not_take_is_refused_before_it_is_sent() {
    let server = ApiServer::start().await;
    let client = server.client("r1");
    let refused = client.swap("routes", 0, &"x".repeat(MOST_BYTES + 1)).await.unwrap_err();
    assert!(matches!(refused, KubernetesError::TooLarge { .. }));
    assert!(refused.to_string().contains("1048577 bytes, and Kubernetes takes 1048576 (1 MiB)"), "{refused}");
    assert_eq!(server.times_asked("r1", &format!("POST {MAPS}")), 0);
    assert!(client.swap("routes", 0, &"x".repeat(MOST_BYTES)).await.unwrap());
}

#[tokio::test]
async fn a_history_has_the_newest_texts_as_many_as_may_and_fit_whoever_wrote_them() {
    let server = ApiServer::start().await;
    let keys = async |client: &Client| -> Vec<String> {
        client.remembered("history/routes").await.unwrap().into_iter().map(|(key, _)| key).collect()
    };
    let writers: Vec<_> = (0..6)
        .map(|at| {
            let client = server.client(&format!("r{at}"));
            tokio::spawn(async move { client.remember("history/routes", &format!("{at:015}"), "text", 4).await })
        })
        .collect();
    for writer in writers {
        timeout(PATIENCE, writer).await.unwrap().unwrap().unwrap();
    }
    let client = server.client("r0");
    let kept = keys(&client).await;
    assert_eq!(kept.len(), 4, "{kept:?}");
    for at in 10..14 {
        client.remember("history/routes", &format!("{at:015}"), &"x".repeat(400 << 10), 4).await.unwrap();
    }
    assert_eq!(keys(&client).await, [format!("{:015}", 12), format!("{:015}", 13)], "three would be more than 1 MiB");
}

#[tokio::test]
async fn leadership_passes_on_only_after_the_lease_ran_out_and_who_is_cut_off_has_ceased_by_then() {
    let server = ApiServer::start().await;
    let first = lease::lead(server.client("r1"), "leader", "r1", ());
    until(&first, true).await;
    let second = lease::lead(server.client("r2"), "leader", "r2", ());
    server.until_asked("r2", LEASE, 0).await;
    // As long as it is renewed it stays where it is.
    for _ in 0..5 {
        let renewed = server.times_asked("r1", "PUT");
        pass(Duration::from_secs(4)).await;
        server.until_asked("r1", "PUT", renewed).await;
        until(&first, true).await;
        assert!(!second.holds());
    }
    server.treat("r1", Mood::Silent);
    let cut_off = Instant::now();
    while !second.holds() {
        let asked = server.times_asked("r2", LEASE);
        pass(Duration::from_secs(4)).await;
        server.until_asked("r2", LEASE, asked).await;
        for _ in 0..1000 {
            assert!(!(first.holds() && second.holds()), "both lead");
            tokio::task::yield_now().await;
        }
        assert!(cut_off.elapsed() < Duration::from_secs(300), "nobody leads");
    }
    // It was seen to be renewed at most four seconds before.
    assert!(cut_off.elapsed() >= Duration::from_secs(8), "{:?}", cut_off.elapsed());
    assert!(!first.holds());
    let spec = server.object("leases", "shop.leader").unwrap()["spec"].clone();
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with("r2_"), "{spec}");
    assert_eq!((&spec["leaseDurationSeconds"], &spec["leaseTransitions"]), (&json!(12), &json!(1)));
}

#[tokio::test]
async fn who_stops_gives_the_lease_back_before_the_process_may_end_and_the_next_takes_it_at_once() {
    let server = ApiServer::start().await;
    let (until_gone, mut gone) = tokio::sync::mpsc::channel::<()>(1);
    let first = lease::lead(server.client("r1"), "leader", "r1", until_gone);
    until(&first, true).await;
    drop(first);
    assert_eq!(timeout(PATIENCE, gone.recv()).await.unwrap(), None);
    assert_eq!(server.object("leases", "shop.leader").unwrap()["spec"]["holderIdentity"], "");
    let second = lease::lead(server.client("r2"), "leader", "r2", ());
    until(&second, true).await;
}

#[tokio::test]
async fn nobody_leads_by_a_server_that_refuses_or_talks_garbage() {
    let server = ApiServer::start().await;
    for mood in [Mood::Refusing(403), Mood::Refusing(500), Mood::Garbage] {
        server.treat("r1", mood);
        let lead = lease::lead(server.client("r1"), "leader", "r1", ());
        let asked = server.times_asked("r1", LEASE);
        server.until_asked("r1", LEASE, asked + 1).await;
        assert!(!lead.holds(), "{mood:?}");
    }
    assert_eq!(server.object("leases", "shop.leader"), None);
}
