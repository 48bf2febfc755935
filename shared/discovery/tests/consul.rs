//! What a Consul that misbehaves does to a list of instances: nothing. The real one is in the tests of the whole mesh.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use torchmesh_discovery::{
    Discovery as _, Instances,
    consul::{Client, Consul, ConsulSettings},
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

/// The head of a request, which has no body.
async fn question(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn watch(addr: SocketAddr, settings: ConsulSettings) -> tokio::sync::watch::Receiver<Instances> {
    let settings = ConsulSettings { address: format!("http://{addr}"), ..settings };
    Consul::new(Client::new(&settings).unwrap()).watch("worker")
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
