//! The pods of a Service as an API server tells them: this one is a stand-in that says what the test wants said.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use torchmesh_discovery::{
    Discovery as _, Instances,
    kubernetes::{Kubernetes, KubernetesSettings},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A question that came, to be answered by the test.
struct Question {
    head: String,
    stream: TcpStream,
}

impl Question {
    /// A whole answer.
    async fn answer(mut self, status: u16, body: Value) {
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        self.stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }

    /// A watch, which is left open.
    async fn open(mut self) -> Watch {
        self.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n").await.unwrap();
        Watch(self.stream)
    }
}

struct Watch(TcpStream);

impl Watch {
    /// Tells an event, cut into two pieces, as a network may.
    async fn tell(&mut self, kind: &str, object: Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        let (a, b) = line.split_at(line.len() / 2);
        for part in [a, b] {
            self.0.write_all(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).await.unwrap();
            self.0.flush().await.unwrap();
        }
    }

    async fn end(mut self) {
        self.0.write_all(b"0\r\n\r\n").await.unwrap();
    }
}

struct Server {
    questions: mpsc::Receiver<Question>,
    addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, questions) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let mut stream = listener.accept().await.unwrap().0;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                if sender.send(Question { head: String::from_utf8(head).unwrap(), stream }).await.is_err() {
                    return;
                }
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "first\n").unwrap();
        Self { questions, addr, folder }
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Instances> {
        let settings = KubernetesSettings {
            address: Some(format!("http://{}", self.addr)),
            namespace: Some("models".into()),
            token_file: self.folder.path().join("token"),
            prefix: "shop".into(),
            ..KubernetesSettings::default()
        };
        Kubernetes::new(&settings).unwrap().watch("worker")
    }

    async fn asked(&mut self) -> Question {
        timeout(PATIENCE, self.questions.recv()).await.expect("the server is asked").unwrap()
    }

    /// The next question, which must be for a watch from this version on.
    async fn asked_from(&mut self, version: &str) -> Question {
        let question = self.asked().await;
        assert!(question.head.contains("watch=1") && question.head.contains(&format!("resourceVersion={version}&")), "{}", question.head);
        question
    }
}

fn slice(name: &str, version: &str, pods: &[(&str, &str)]) -> Value {
    let endpoints: Vec<_> = pods
        .iter()
        .map(|(pod, address)| json!({ "addresses": [address], "conditions": { "ready": true }, "targetRef": { "name": pod } }))
        .collect();
    json!({ "metadata": { "name": name, "resourceVersion": version }, "endpoints": endpoints, "ports": [{ "name": "grpc", "port": 8082 }] })
}

#[expect(clippy::needless_pass_by_value, reason = "as the tests write it")]
fn list(version: &str, slices: Vec<Value>) -> Value {
    json!({ "kind": "EndpointSliceList", "metadata": { "resourceVersion": version }, "items": slices })
}

/// Waits for the next change of the list.
async fn next(list: &mut tokio::sync::watch::Receiver<Instances>) -> String {
    timeout(PATIENCE, list.changed()).await.expect("the list changes").unwrap();
    list.borrow_and_update().iter().map(|instance| instance.id.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn pods_are_listed_once_and_then_told_as_they_come_and_go() {
    let mut server = Server::start().await;
    let mut seen = server.watch();
    let question = server.asked().await;
    for part in [
        "GET /apis/discovery.k8s.io/v1/namespaces/models/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dshop-worker ",
        "authorization: Bearer first\r\n",
    ] {
        assert!(question.head.contains(part), "{part:?} is missing in {}", question.head);
    }
    question.answer(200, list("10", vec![slice("s", "9", &[("a", "10.0.0.1")])])).await;
    assert_eq!(next(&mut seen).await, "a");

    let mut watch = server.asked_from("10").await.open().await;
    watch.tell("MODIFIED", slice("s", "11", &[("a", "10.0.0.1"), ("b", "10.0.0.2")])).await;
    assert_eq!(next(&mut seen).await, "a b");
    watch.tell("ADDED", slice("t", "12", &[("c", "10.0.0.3")])).await;
    assert_eq!(next(&mut seen).await, "a b c");
    watch.tell("DELETED", slice("s", "13", &[("a", "10.0.0.1")])).await;
    assert_eq!(next(&mut seen).await, "c");

    // A watch that has run its time goes on where it was, without a list.
    watch.tell("BOOKMARK", json!({ "metadata": { "resourceVersion": "20" } })).await;
    watch.end().await;
    let mut watch = server.asked_from("20").await.open().await;
    watch.tell("MODIFIED", slice("t", "21", &[])).await;
    assert_eq!(next(&mut seen).await, "");
}

#[tokio::test]
async fn a_server_that_has_forgotten_what_changed_is_asked_for_what_there_is() {
    let mut server = Server::start().await;
    let mut seen = server.watch();
    server.asked().await.answer(200, list("10", vec![slice("s", "9", &[("a", "10.0.0.1")])])).await;
    assert_eq!(next(&mut seen).await, "a");
    server.asked_from("10").await.answer(410, json!({ "code": 410, "message": "too old resource version" })).await;
    server.asked().await.answer(200, list("90", vec![slice("s", "80", &[("b", "10.0.0.2")])])).await;
    assert_eq!(next(&mut seen).await, "b");
    // The same, told within a watch.
    let mut watch = server.asked_from("90").await.open().await;
    watch.tell("ERROR", json!({ "kind": "Status", "code": 410, "message": "too old" })).await;
    server.asked().await.answer(200, list("95", vec![slice("s", "94", &[("c", "10.0.0.3")])])).await;
    assert_eq!(next(&mut seen).await, "c");
}

#[tokio::test]
async fn a_server_that_refuses_fails_or_talks_garbage_takes_nobody_away() {
    let mut server = Server::start().await;
    let mut seen = server.watch();
    server.asked().await.answer(200, list("10", vec![slice("s", "9", &[("a", "10.0.0.1")])])).await;
    assert_eq!(next(&mut seen).await, "a");
    server.asked_from("10").await.answer(500, json!({ "message": "etcd is away" })).await;
    server.asked().await.answer(403, json!({ "message": "endpointslices is forbidden" })).await;
    server.asked().await.answer(200, json!({ "it": "works" })).await;
    drop(server.asked().await);
    // A token that was renewed meanwhile is the one that is sent.
    std::fs::write(server.folder.path().join("token"), "second\n").unwrap();
    let question = loop {
        let question = server.asked().await;
        if question.head.contains("Bearer second") {
            break question;
        }
    };
    assert!(!question.head.contains("watch="), "it asks for what there is: {}", question.head);
    question.answer(200, list("11", vec![slice("s", "11", &[("a", "10.0.0.1"), ("b", "10.0.0.2")])])).await;
    assert_eq!(next(&mut seen).await, "a b");
}

#[test]
fn outside_of_a_cluster_it_is_said_what_to_set() {
    let empty = tempfile::tempdir().unwrap();
    let (address, token_file) = (Some("http://127.0.0.1:1".into()), empty.path().join("token"));
    let settings = KubernetesSettings { address, token_file, ..KubernetesSettings::default() };
    assert!(Kubernetes::new(&settings).unwrap_err().to_string().contains("set discovery.kubernetes.namespace"));
}
