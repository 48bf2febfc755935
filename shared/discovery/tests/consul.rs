//! What a Consul that misbehaves does to a list of instances, a document or a registration: nothing; and that nobody leads by it. The real one is in the tests of the whole mesh.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use torchmesh_api::ids::InstanceId;
use torchmesh_discovery::{
    Discovery as _, Instances,
    consul::{
        Advertised, Client, Consul, ConsulError, ConsulSettings, Life,
        kv::{Followed, MOST_BYTES},
        lock, registration,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the next question gets.
enum Reply {
    /// This status, index and body.
    Say(u16, u64, &'static str),
    /// The connection, and nothing on it until it is closed.
    Nothing,
}

use Reply::{Nothing, Say};

const A: &str = r#"[{"Node":{"Address":"127.0.0.1"},"Service":{"ID":"a","Port":1},"Checks":[{"Status":"passing"}]}]"#;
const A_AND_B: &str = r#"[{"Node":{"Address":"127.0.0.1"},"Service":{"ID":"a","Port":1},"Checks":[{"Status":"passing"}]},
    {"Node":{"Address":"127.0.0.1"},"Service":{"ID":"b","Port":2},"Checks":[{"Status":"passing"}]}]"#;

/// Answers one question after another with these replies, and tells the questions; then with nothing.
async fn stand_in(replies: Vec<Reply>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut replies = replies.into_iter();
        let mut open = Vec::new();
        loop {
            let mut stream = listener.accept().await.unwrap().0;
            let question = question(&mut stream).await;
            if asked.send(question).await.is_err() {
                return;
            }
            if let Some(Say(status, index, body)) = replies.next() {
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} X\r\nX-Consul-Index: {index}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(text.as_bytes()).await.unwrap();
            } else {
                open.push(stream);
            }
        }
    });
    (addr, questions)
}

/// A request: its head, and its body after it.
async fn question(stream: &mut TcpStream) -> String {
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        question.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(question.clone()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    question.append(&mut body);
    String::from_utf8(question).unwrap()
}

fn client(addr: SocketAddr, settings: ConsulSettings) -> Client {
    Client::new(&ConsulSettings { address: format!("http://{addr}"), ..settings }).unwrap()
}

/// The settings of a namespace, as Consul Enterprise has them.
fn namespaced() -> ConsulSettings {
    ConsulSettings { namespace: Some("team".into()), ..ConsulSettings::default() }
}

fn watch(addr: SocketAddr, settings: ConsulSettings) -> tokio::sync::watch::Receiver<Instances> {
    Consul::new(client(addr, settings)).watch("worker")
}

/// The next question, which must be of this method and path, with these parameters.
async fn asks(questions: &mut mpsc::Receiver<String>, line: &str, parameters: &[&str]) -> String {
    let question = timeout(PATIENCE, questions.recv()).await.unwrap_or_else(|_| panic!("nobody asks for {line}")).unwrap();
    let target = question.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let (asked, query) = target.split_once('?').unwrap_or((&target, ""));
    assert_eq!(asked, line);
    for parameter in parameters {
        assert!(query.split('&').any(|given| given == *parameter), "{parameter} is missing in {target}");
    }
    question
}

/// The body of a question, as JSON.
fn body(question: &str) -> Value {
    serde_json::from_str(question.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Lets so much time pass at once. What waits for a socket takes none of it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn ids(list: &Instances) -> String {
    list.iter().map(|instance| instance.id.as_str()).collect::<Vec<_>>().join(" ")
}

/// Waits for a list, and for it to be the next change after the last one that was seen.
async fn next(list: &mut tokio::sync::watch::Receiver<Instances>) -> String {
    timeout(PATIENCE, list.changed()).await.expect("the list changes").unwrap();
    ids(&list.borrow_and_update())
}

#[tokio::test]
async fn a_consul_that_refuses_or_talks_garbage_takes_nobody_away() {
    let replies = vec![
        Say(200, 5, A),
        Say(403, 5, "Permission denied"),
        Say(200, 6, "<html>it works</html>"),
        Say(500, 6, "No cluster leader"),
        Say(200, 6, r#"[{"Node":{"Address":"127.0.0.1"}}]"#),
        Say(200, 7, A_AND_B),
    ];
    let (addr, _questions) = stand_in(replies).await;
    let mut list = watch(addr, ConsulSettings::default());
    assert_eq!(next(&mut list).await, "a");
    assert_eq!(next(&mut list).await, "a b");
}

#[tokio::test]
async fn the_next_question_is_for_what_comes_after_the_last_answer() {
    let (addr, mut questions) = stand_in(vec![Say(200, 5, A), Say(200, 9, A), Say(200, 3, A)]).await;
    let list = watch(addr, ConsulSettings { prefix: "shop".into(), datacenter: Some("dc2".into()), ..ConsulSettings::default() });
    for index in ["index=0", "index=5", "index=9", "index=3"] {
        let question = timeout(PATIENCE, questions.recv()).await.unwrap().unwrap();
        assert!(question.starts_with("GET /v1/health/service/shop-worker?"), "{question}");
        assert!(question.contains(index) && question.contains("wait=30s") && question.contains("dc=dc2"), "{question}");
    }
    drop(list);
}

#[tokio::test]
async fn the_token_is_read_anew_for_each_question() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let (addr, mut questions) = stand_in(vec![Nothing]).await;
    let list = watch(addr, ConsulSettings { token_file: Some(file.clone()), ..ConsulSettings::default() });
    let question = timeout(PATIENCE, questions.recv()).await.unwrap().unwrap();
    assert!(question.contains("x-consul-token: first\r\n"), "{question}");
    drop(list);

    std::fs::write(&file, "second\n").unwrap();
    let _list = watch(addr, ConsulSettings { token_file: Some(file), ..ConsulSettings::default() });
    let question = timeout(PATIENCE, questions.recv()).await.unwrap().unwrap();
    assert!(question.contains("x-consul-token: second\r\n"), "{question}");
}

#[tokio::test]
async fn a_consul_that_hangs_is_asked_again_and_the_list_stays() {
    let (addr, mut questions) = stand_in(vec![Say(200, 5, A), Nothing, Say(200, 6, A_AND_B)]).await;
    // The least wait, so that the question that hangs is given up after some six seconds.
    let mut list = watch(addr, ConsulSettings { wait: Duration::from_secs(1), ..ConsulSettings::default() });
    assert_eq!(next(&mut list).await, "a");
    for _ in 0..2 {
        timeout(PATIENCE, questions.recv()).await.unwrap().unwrap();
    }
    assert_eq!(ids(&list.borrow()), "a");
    assert_eq!(next(&mut list).await, "a b");
}

const FIRST: &str = r#"[{"Key":"torchmesh/routes","ModifyIndex":5,"Value":"b25l"}]"#;
const NOT_BASE64: &str = r#"[{"Key":"torchmesh/routes","ModifyIndex":6,"Value":"%%%"}]"#;
const SECOND: &str = r#"[{"Key":"torchmesh/routes","ModifyIndex":7,"Value":"dHdv"}]"#;

#[tokio::test]
async fn a_document_stays_what_it_was_while_consul_refuses_talks_garbage_or_hangs() {
    let replies = vec![
        Say(200, 5, FIRST),
        Say(403, 5, "Permission denied"),
        Say(200, 6, "<html>it works</html>"),
        Say(200, 6, NOT_BASE64),
        Say(500, 6, "No cluster leader"),
        Nothing,
        Say(200, 7, SECOND),
    ];
    let (addr, mut questions) = stand_in(replies).await;
    let settings = ConsulSettings { wait: Duration::from_secs(1), ..namespaced() };
    let mut followed = Followed::new(client(addr, settings), "routes".into());
    let first = timeout(PATIENCE, followed.next()).await.unwrap().unwrap();
    assert_eq!((first.version, first.text.as_str()), (5, "one"));
    asks(&mut questions, "GET /v1/kv/torchmesh/routes", &["index=0", "ns=team"]).await;
    // Nothing of what comes between the two is a change, and least of all that there is no document.
    let second = timeout(PATIENCE, followed.next()).await.unwrap().unwrap();
    assert_eq!((second.version, second.text.as_str()), (7, "two"));
}

#[tokio::test]
async fn a_document_and_its_history_are_replaced_in_one_transaction_of_the_namespace() {
    let (addr, mut questions) = stand_in(vec![Say(200, 9, r#"{"Results":[{},{}],"Errors":null}"#)]).await;
    assert!(client(addr, namespaced()).swap("routes", 5, "one", Some("history/routes/1")).await.unwrap());
    let question = asks(&mut questions, "PUT /v1/txn", &["ns=team"]).await;
    let operation = |kv: Value| json!({ "KV": kv });
    assert_eq!(
        body(&question),
        json!([
            operation(json!({ "Verb": "cas", "Key": "torchmesh/routes", "Index": 5, "Value": "b25l", "Namespace": "team" })),
            operation(json!({ "Verb": "set", "Key": "torchmesh/history/routes/1", "Value": "b25l", "Namespace": "team" })),
        ])
    );
    let (addr, mut questions) = stand_in(vec![Say(200, 9, r#"{"Results":[{}],"Errors":null}"#)]).await;
    assert!(client(addr, ConsulSettings::default()).swap("routes", 5, "one", None).await.unwrap());
    let question = asks(&mut questions, "PUT /v1/txn", &[]).await;
    assert_eq!(body(&question)[0]["KV"].get("Namespace"), None, "only Consul Enterprise knows the word");
}

#[tokio::test]
async fn a_document_is_replaced_only_when_consul_says_so() {
    let forbidden = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied"}]}"#;
    let stale = r#"{"Results":null,"Errors":[{"OpIndex":0,"What":"failed to set key \"torchmesh/routes\", index is stale"}]}"#;
    let replies =
        vec![Say(409, 0, stale), Say(403, 0, "Permission denied"), Say(409, 0, forbidden), Say(200, 0, "<html>it works</html>"), Nothing];
    let (addr, mut questions) = stand_in(replies).await;
    let client = client(addr, ConsulSettings::default());
    let swap = || client.swap("routes", 5, "one", None);
    assert!(!swap().await.unwrap(), "somebody was faster");
    for _ in 0..2 {
        let denied = swap().await.unwrap_err();
        assert!(matches!(denied, ConsulError::Denied { .. }) && denied.to_string().contains("discovery.consul.token_file"), "{denied}");
    }
    assert!(matches!(swap().await.unwrap_err(), ConsulError::Garbage { .. }));
    for _ in 0..4 {
        asks(&mut questions, "PUT /v1/txn", &[]).await;
    }
    let hangs = tokio::spawn({
        let client = client.clone();
        async move { client.swap("routes", 5, "one", None).await }
    });
    asks(&mut questions, "PUT /v1/txn", &[]).await;
    pass(Duration::from_secs(6)).await;
    assert!(matches!(timeout(PATIENCE, hangs).await.unwrap().unwrap(), Err(ConsulError::Unreachable { .. })));
}

#[tokio::test]
async fn a_document_that_consul_would_not_take_with_its_history_is_refused_before_it_is_sent() {
    let (addr, mut questions) = stand_in(vec![Say(200, 9, r#"{"Results":[{},{}],"Errors":null}"#)]).await;
    let client = client(addr, namespaced());
    let refused = client.swap("routes", 5, &"a".repeat(MOST_BYTES + (4 << 10)), Some("history/routes/1")).await.unwrap_err();
    assert!(refused.to_string().contains("make it shorter"), "{refused}");
    assert!(client.swap("routes", 5, &"a".repeat(MOST_BYTES), Some("history/routes/1")).await.unwrap());
    let question = asks(&mut questions, "PUT /v1/txn", &[]).await;
    let sent = question.split_once("\r\n\r\n").unwrap().1.len();
    assert!(sent <= 512 << 10, "{sent} bytes are more than Consul takes");
}

#[tokio::test]
async fn a_registration_that_consul_refuses_or_leaves_hanging_is_made_again_and_a_forgotten_one_too() {
    let replies = vec![
        Say(403, 0, "Permission denied"),
        Say(500, 0, "No cluster leader"),
        Nothing,
        Say(200, 0, ""),
        Say(404, 0, "Unknown check ID"),
        Say(200, 0, ""),
        Say(403, 0, "Permission denied"),
        Say(200, 0, ""),
    ];
    let (addr, mut questions) = stand_in(replies).await;
    let settings = ConsulSettings { ttl: Duration::from_secs(3), ..namespaced() };
    let who =
        Advertised { service: "worker", id: InstanceId::parse("w1").unwrap(), addr: ([127, 0, 0, 1], 8082).into(), tls: false, zone: None };
    let (_ready, is_ready) = watch::channel(true);
    let (leave, leaving) = watch::channel(false);
    let (until_gone, mut gone) = mpsc::channel::<()>(1);
    registration::announce(client(addr, settings), who, Life { ready: is_ready, leaving, until_gone });
    let register = "PUT /v1/agent/service/register";
    let beat = "PUT /v1/agent/check/pass/torchmesh-worker-w1:heartbeat";
    for at in 0..4 {
        let question = asks(&mut questions, register, &["replace-existing-checks=true", "ns=team"]).await;
        assert_eq!(body(&question)["Name"], "torchmesh-worker");
        if at == 2 {
            pass(Duration::from_secs(6)).await;
        }
    }
    asks(&mut questions, beat, &["ns=team"]).await;
    asks(&mut questions, register, &[]).await;
    // One heartbeat that is refused is no reason to register again.
    asks(&mut questions, beat, &[]).await;
    asks(&mut questions, beat, &[]).await;
    leave.send_replace(true);
    asks(&mut questions, "PUT /v1/agent/service/deregister/torchmesh-worker-w1", &["ns=team"]).await;
    // A Consul that does not answer keeps nobody from ending.
    assert_eq!(timeout(PATIENCE, gone.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn nobody_leads_by_a_consul_that_refuses_or_talks_garbage_nor_longer_than_the_session_lasts() {
    let session = r#"{"ID":"s1"}"#;
    let replies = vec![
        Say(403, 0, "Permission denied"),
        Say(200, 0, "<html>it works</html>"),
        Say(200, 0, session),
        Say(200, 0, "false"),
        Say(200, 0, session),
        Say(200, 0, "true"),
        Nothing,
    ];
    let (addr, mut questions) = stand_in(replies).await;
    let lead = lock::lead(client(addr, namespaced()), "leader".into(), "r1".into(), ());
    for _ in 0..3 {
        let question = asks(&mut questions, "PUT /v1/session/create", &["ns=team"]).await;
        assert_eq!(body(&question)["Behavior"], "release");
        assert!(!lead.holds());
    }
    let acquire = ("PUT /v1/kv/torchmesh/leader", ["acquire=s1", "ns=team"]);
    let question = asks(&mut questions, acquire.0, &acquire.1).await;
    assert!(question.ends_with("\r\n\r\nr1"), "{question}");
    asks(&mut questions, "PUT /v1/session/renew/s1", &["ns=team"]).await;
    assert!(!lead.holds(), "somebody else has it");
    asks(&mut questions, acquire.0, &acquire.1).await;
    let held = async {
        while !lead.holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, held).await.expect("it is held");
    // The next renewal hangs. The key is trusted for eight of the session's ten seconds, counted from when it was asked for.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(8)).await;
    assert!(!lead.holds(), "another may hold it by now");
}
