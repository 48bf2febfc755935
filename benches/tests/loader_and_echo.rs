//! The loader against the echo server, both in this process.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time,
};
use torchmesh_api::inference::ModelInferResponse;
use torchmesh_benches::{
    echo::{self, Answers},
    loader::{self, Options},
};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

async fn echo_on(address: &str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { echo::serve(listener, Answers::new("noop", 16)).await.unwrap() }))
}

async fn load(address: SocketAddr, line: &[&str]) -> Value {
    let address = address.to_string();
    let arguments = ["loader", "--address", &address].into_iter().chain(line.iter().copied());
    loader::run(&Line::try_parse_from(arguments).unwrap().options).await.unwrap()
}

#[tokio::test]
async fn so_many_calls_are_made_and_every_one_is_answered() {
    let (address, _echo) = echo_on("127.0.0.1:0").await;
    let report = load(address, &["--callers", "16", "--connections", "4", "--requests", "1000", "--seconds", "60"]).await;
    assert_eq!((&report["requests"], &report["ok"], &report["errors"]), (&json!(1000), &json!(1000), &json!({})));
    assert_eq!(report["connections_opened"], json!(4));
}

#[tokio::test]
async fn a_message_larger_than_the_windows_of_http2_crosses_whole() {
    let (address, _echo) = echo_on("127.0.0.1:0").await;
    let report = load(address, &["--requests", "3", "--seconds", "60", "--tensor", "INPUT0:FP32:5x1048576"]).await;
    assert_eq!(report["ok"], json!(3), "{report}");
}

#[tokio::test]
async fn an_answer_can_be_kept_in_a_file() {
    let (address, _echo) = echo_on("127.0.0.1:0").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    load(address, &["--requests", "1", "--seconds", "60", "--answer-file", file.to_str().unwrap()]).await;
    let answer = ModelInferResponse::decode(std::fs::read(file).unwrap().as_slice()).unwrap();
    assert_eq!((answer.model_name.as_str(), answer.raw_output_contents[0].len()), ("noop", 64));
}

#[tokio::test]
async fn a_constant_rate_is_kept_and_calls_beyond_the_limit_in_flight_count_as_unsent() {
    let (address, _echo) = echo_on("127.0.0.1:0").await;
    let report = load(address, &["--callers", "100", "--rate", "500", "--requests", "100", "--seconds", "60"]).await;
    assert_eq!(report["ok"], json!(100), "{report}");
    let seconds = report["seconds"].as_f64().unwrap();
    assert!(seconds >= 0.198, "100 calls at 500 a second took only {seconds} s");

    let flood = load(address, &["--callers", "1", "--rate", "100000000", "--requests", "1000", "--seconds", "60"]).await;
    assert_eq!(flood["requests"], json!(1000));
    assert!(flood["errors"]["unsent"].as_u64().unwrap() > 0, "{flood}");
}

#[tokio::test]
async fn a_server_that_is_not_there_counts_as_unreachable() {
    let (address, echo) = echo_on("127.0.0.1:0").await;
    echo.abort();
    // The listener closes when the aborted task is dropped, which joining it waits for.
    assert!(echo.await.unwrap_err().is_cancelled());
    let report = load(address, &["--requests", "2", "--seconds", "60"]).await;
    assert_eq!(report["errors"], json!({ "unreachable": 2 }));
}

#[tokio::test]
async fn a_server_that_never_answers_counts_as_a_hang_and_holds_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let run = load(silent.local_addr().unwrap(), &["--requests", "1", "--seconds", "60", "--deadline-ms", "1"]);
    let report = time::timeout(Duration::from_secs(30), run).await.unwrap();
    assert_eq!(report["errors"], json!({ "hang": 1 }));
}

/// Answers every call so long after it came.
async fn answer_late(listener: TcpListener, after: Duration) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            time::sleep(after).await;
            let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
            stream.send_data(bytes::Bytes::from_static(&[0; 5]), false).unwrap();
            stream.send_trailers(http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])).unwrap();
        });
    }
}

#[tokio::test]
async fn an_answer_after_the_deadline_counts_as_late_and_not_as_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(answer_late(listener, Duration::from_millis(60)));
    let report = load(address, &["--requests", "1", "--seconds", "60", "--deadline-ms", "40"]).await;
    assert_eq!((&report["ok"], &report["errors"]), (&json!(0), &json!({ "late": 1 })), "{report}");
    assert!(report["error_latency_ms"]["late"]["p50"].as_f64().unwrap() >= 60.0, "{report}");
}

/// Refuses the first call of the first connection, and sends every later connection on to the echo server.
async fn refuse_once(listener: TcpListener, behind: SocketAddr) {
    let (first, _) = listener.accept().await.unwrap();
    let mut leaving = h2::server::handshake(first).await.unwrap();
    let (_, mut respond) = leaving.accept().await.unwrap().unwrap();
    respond.send_reset(h2::Reason::REFUSED_STREAM);
    leaving.graceful_shutdown();
    while leaving.accept().await.is_some_and(|call| call.is_ok()) {}
    let (mut second, _) = listener.accept().await.unwrap();
    let mut onward = TcpStream::connect(behind).await.unwrap();
    tokio::io::copy_bidirectional(&mut second, &mut onward).await.unwrap();
}

#[tokio::test]
async fn a_call_that_a_leaving_server_has_not_touched_goes_once_more() {
    let (behind, _echo) = echo_on("127.0.0.1:0").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(refuse_once(listener, behind));
    let report = load(address, &["--requests", "5", "--seconds", "60"]).await;
    assert_eq!((&report["ok"], &report["errors"]), (&json!(5), &json!({})), "{report}");
    assert_eq!((&report["retried"], &report["connections_opened"]), (&json!(1), &json!(2)), "{report}");
}
