//! Peers that mean harm: what they do costs them their connection, and nobody else anything.

use std::{io, net::SocketAddr, time::Duration};

use h2::Reason;
use http::{Method, Request, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{interval, timeout},
};
use tonic::Code;
use torchmesh_api::inference::ServerLiveRequest;
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, client, eventually,
    models::Model,
    raw::{self, Call, Connection},
    upstream::{Manner, Upstream},
    web,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// As long as strangers may take to say what they want, and what a busy machine may add.
const HELLO: Duration = Duration::from_secs(25);

fn live() -> Call {
    Call::new("/inference.GRPCInferenceService/ServerLive", &ServerLiveRequest {}).with_key()
}

async fn is_served(address: SocketAddr) {
    assert_eq!(raw::call(address, &live()).await.status().code(), Code::Ok);
}

/// Begins two calls and gives them up, for each that it waits for, until the connection ends; how many it gave up, and why it ended.
async fn give_up(connection: &Connection, call: &Call) -> (usize, h2::Error) {
    for round in 0.. {
        for _ in 0..2 {
            if let Err(error) = connection.begin(call).await {
                return (2 * round, error);
            }
        }
        if let Err(error) = connection.call(&live()).await {
            return (2 * round, error);
        }
    }
    unreachable!("it goes on until the connection ends")
}

#[test]
fn a_peer_that_gives_up_most_of_its_calls_at_once_loses_its_connection_and_nobody_else_does() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).set("gateway", "limits.max_resets", "200").start().await;
        let infer = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let (patient, hostile) = (Connection::open(mesh.gateway()).await.unwrap(), Connection::open(mesh.gateway()).await.unwrap());
        let _waiting = patient.send(&infer).await.unwrap();
        let (given_up, error) = give_up(&hostile, &infer).await;
        // Why, is told; the socket may be closed under what was still on its way, and then that is lost.
        assert!(error.is_io() || error.reason() == Some(Reason::ENHANCE_YOUR_CALM), "{error:?}");
        assert!((200..300).contains(&given_up), "{given_up}");
        // What was given up has left the whole mesh; who waits, waits.
        let waits = async || {
            (upstream.seen().iter().filter(|call| call.path == raw::MODEL_INFER && call.left.is_none()).count() == 1).then_some(())
        };
        eventually("one call waits", PATIENCE, waits).await;
        assert_eq!(patient.call(&live()).await.unwrap().status().code(), Code::Ok);
    });
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Writes the same bytes again and again; how many were taken until the other side had enough, at most `most`.
async fn taken(stream: &mut TcpStream, bytes: &[u8], most: usize) -> usize {
    let (mut read, mut write) = stream.split();
    let mut buffer = [0; 4096];
    let mut taken = 0;
    let ended = async { while matches!(read.read(&mut buffer).await, Ok(1..)) {} };
    let flood = async {
        while taken < most && write.write_all(bytes).await.is_ok() {
            taken += bytes.len();
        }
        std::future::pending::<()>().await;
    };
    let either = async {
        tokio::select! {
            () = ended => {}
            () = flood => {}
        }
    };
    timeout(PATIENCE, either).await.expect("the connection ends");
    taken
}

#[test]
fn headers_that_never_end_end_the_connection_after_a_few_of_them() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
        // A method, and then fields that nobody has asked for.
        let (begun, field) = (frame(1, 0, 1, &[0x83]), [0x00, 0x01, b'x', 0x01, b'y']);
        for (name, more) in [("empty", frame(9, 0, 1, &[])), ("full", frame(9, 0, 1, &field.repeat(2000)))] {
            let mut stream = TcpStream::connect(mesh.gateway()).await.unwrap();
            stream.write_all(&[&preface[..], &begun].concat()).await.unwrap();
            // The sockets on both sides hold some megabytes by themselves.
            assert!(taken(&mut stream, &more, 64 << 20).await < 32 << 20, "{name}");
        }
        is_served(mesh.gateway()).await;
    });
}

/// Says this, and then one byte more each half second; returns when the other side has closed.
async fn drip(address: SocketAddr, beginning: &[u8], more: Option<u8>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(beginning).await?;
    let (mut read, mut write) = stream.split();
    let (mut pace, mut buffer) = (interval(Duration::from_millis(500)), [0; 1024]);
    loop {
        tokio::select! {
            said = read.read(&mut buffer) => if said? == 0 { return Ok(()) },
            _ = pace.tick() => if let Some(byte) = more { write.write_all(&[byte]).await? },
        }
    }
}

#[test]
fn who_takes_forever_to_say_what_they_want_is_cut_off() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let slow = [(&b""[..], None), (b"PR", None), (b"GET /v1/models HTTP/1.1\r\nx: ", Some(b'y')), (b"GET /v1/mod", None)];
        let mut all = JoinSet::new();
        for (beginning, more) in slow {
            all.spawn(drip(mesh.gateway(), beginning, more));
        }
        is_served(mesh.gateway()).await;
        assert!(all.try_join_next().is_none(), "nobody was given any time");
        // Closed, or reset while a byte was on its way.
        timeout(HELLO, all.join_all()).await.expect("they are cut off");
    });
}

#[test]
fn json_that_is_deeper_than_anything_is_refused_at_every_door() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (path, before, after) in [
            ("/v1/embeddings", r#"{"model":"minilm","input":"#, "}"),
            ("/v1/chat/completions", r#"{"model":"minilm","messages":"#, "}"),
            ("/v1/responses", r#"{"model":"minilm","input":"a","text":"#, "}"),
            ("/v1/tasks/minilm", r#"{"text":"#, "}"),
            ("/v2/models/minilm/infer", r#"{"inputs":"#, "}"),
            ("/embed", r#"{"inputs":"#, "}"),
        ] {
            let request = Request::builder().method(Method::POST).uri(path).header(header::CONTENT_TYPE, "application/json");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {KEY}")).body(format!("{before}{deep}{after}").into());
            let answer = web::Connection::http1(mesh.gateway()).await.unwrap().send(request.unwrap()).await.unwrap();
            assert!(matches!(answer.status, 400 | 422), "{path}: {} {}", answer.status, answer.text());
            assert!(!answer.text().is_empty() && answer.text().len() < 1000, "{path}: {}", answer.text());
        }
        is_served(mesh.gateway()).await;
    });
}
