//! The layers against a real server in this process.

mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::BodyExt as _;
use prost::Message as _;
use tonic::{Code, Request, Status};
use torchmesh_client::{
    AuthLayer, BoxFuture, CachedTokens, Client, DeadlineLayer, FetchToken, Lease, RetryLayer, RetryPolicy, Token,
    text::v1::{EmbedRequest, text_service_client::TextServiceClient},
};
use tower::{Layer as _, Service as _};

use server::{Server, Step};

fn hasty() -> RetryPolicy {
    RetryPolicy::default().backoff(Duration::from_millis(1), Duration::from_millis(4))
}

async fn client(server: &Server, policy: RetryPolicy) -> Client {
    Client::builder(server.url()).api_key("tm_secret").retries(policy).connect().await.unwrap()
}

fn lost() -> Step {
    Step::Fail(Status::unavailable("nobody is there"))
}

fn pushed_back(code: Code, millis: i64) -> Step {
    let mut status = Status::new(code, "later");
    status.metadata_mut().insert("grpc-retry-pushback-ms", millis.into());
    Step::Fail(status)
}

#[tokio::test]
async fn a_call_that_fails_twice_is_answered_at_the_third_try() {
    let server = Server::start([lost(), lost(), Step::Answer]).await;
    let vectors = client(&server, hasty()).await.embed("m", ["one"]).await.unwrap();
    let seen = server.seen();
    assert_eq!((vectors, seen.len()), (vec![vec![1.0]], 3));
    let said: Vec<_> = seen.iter().map(|seen| seen.header("grpc-previous-rpc-attempts")).collect();
    assert_eq!(said, [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert!(seen.iter().all(|seen| seen.texts == ["one"] && seen.header("authorization").unwrap() == "Bearer tm_secret"));
}

#[tokio::test]
async fn each_try_is_told_the_time_that_is_left_of_the_call() {
    let server = Server::start([pushed_back(Code::Unavailable, 30), lost(), Step::Answer]).await;
    client(&server, hasty()).await.embed("m", ["one"]).await.unwrap();
    let left: Vec<_> = server.seen().iter().map(|seen| seen.left().unwrap()).collect();
    assert!(left[0] <= Duration::from_secs(60) && left[0] > Duration::from_secs(50), "{left:?}");
    assert!(left[1] + Duration::from_millis(30) <= left[0] && left[2] < left[1], "{left:?}");
}

#[tokio::test]
async fn no_second_try_is_sent_that_would_come_after_the_deadline() {
    let server = Server::start([pushed_back(Code::Unavailable, 10_000)]).await;
    let mut request = Request::new(EmbedRequest::default());
    request.set_timeout(Duration::from_secs(5));
    let began = Instant::now();
    let status = client(&server, hasty()).await.text().embed(request).await.unwrap_err();
    assert_eq!((status.code(), status.message(), server.seen().len()), (Code::Unavailable, "later", 1));
    assert!(began.elapsed() < Duration::from_secs(4), "it waited for nothing");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_however_often_it_is_tried() {
    let server = Server::start([lost(), Step::Hang]).await;
    let mut request = Request::new(EmbedRequest::default());
    request.set_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let status = client(&server, hasty()).await.text().embed(request).await.unwrap_err();
    assert_eq!((status.code(), server.seen().len()), (Code::DeadlineExceeded, 2));
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_limit_is_waited_for_as_long_as_the_server_says() {
    let server = Server::start([pushed_back(Code::ResourceExhausted, 120), Step::Answer]).await;
    let began = Instant::now();
    client(&server, hasty()).await.embed("m", ["one"]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
}

#[tokio::test]
async fn retry_info_among_the_details_counts_as_well() {
    // google.rpc.Status { details: [Any { RetryInfo { retry_delay: 0.12 s } }] }
    let delay = prost_bytes(1, &[&[0x10][..], &varint(120_000_000)].concat());
    let any = [prost_bytes(1, b"type.googleapis.com/google.rpc.RetryInfo"), prost_bytes(2, &delay)].concat();
    let status = Status::with_details(Code::ResourceExhausted, "later", prost_bytes(3, &any).into());
    let server = Server::start([Step::Fail(status), Step::Answer]).await;
    let began = Instant::now();
    client(&server, hasty()).await.embed("m", ["one"]).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
}

fn varint(value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

fn prost_bytes(tag: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::bytes::encode(tag, &value.to_vec(), &mut bytes);
    bytes
}

#[tokio::test]
async fn what_will_not_pass_another_time_is_sent_once() {
    for step in [
        Step::Fail(Status::resource_exhausted("and no word of when")),
        pushed_back(Code::Unavailable, -1),
        Step::Fail(Status::internal("ours")),
        Step::Fail(Status::aborted("yours")),
        Step::Fail(Status::deadline_exceeded("late")),
    ] {
        let server = Server::start([step, Step::Answer]).await;
        client(&server, hasty()).await.embed("m", ["one"]).await.unwrap_err();
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_outage_is_not_multiplied_beyond_the_budget() {
    let server = Server::start([]).await.otherwise(lost);
    let client = client(&server, hasty().budget(0.1, 5)).await;
    for _ in 0..100 {
        assert_eq!(client.clone().embed("m", ["one"]).await.unwrap_err().code(), Code::Unavailable);
    }
    let tries = server.seen().len();
    assert!((100..=115).contains(&tries), "{tries} tries of 100 calls");
}

#[tokio::test]
async fn a_request_over_the_bound_is_sent_whole_and_once() {
    let long = "x".repeat(5000);
    let server = Server::start([lost(), Step::Answer]).await;
    let client = client(&server, hasty().keep_bytes(4096)).await;
    client.embed("m", [long.as_str()]).await.unwrap_err();
    client.embed("m", [long.as_str()]).await.unwrap();
    let seen = server.seen();
    assert!(seen.len() == 2 && seen.iter().all(|seen| seen.texts == [long.clone()]));
}

#[tokio::test]
async fn a_stream_that_has_begun_is_not_repeated() {
    let server = Server::start([Step::Pieces(vec!["Once", " upon"], Some(Status::unavailable("gone")))]).await;
    let mut pieces = client(&server, hasty()).await.chat("m", "Tell me a story.").await.unwrap();
    let mut got = Vec::new();
    while let Some(piece) = pieces.next().await {
        got.push(piece.map_err(|status| status.code()));
    }
    assert_eq!(got, [Ok("Once".to_owned()), Ok(" upon".to_owned()), Err(Code::Unavailable)]);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_stream_that_ends_before_its_first_piece_is_repeated() {
    let server = Server::start([Step::Pieces(vec![], Some(Status::unavailable("gone"))), Step::Pieces(vec!["Once", "."], None)]).await;
    let pieces = client(&server, hasty()).await.chat("m", [("system", "Be short."), ("user", "Tell me a story.")]).await.unwrap();
    assert_eq!((pieces.text().await.unwrap(), server.seen().len()), ("Once.".to_owned(), 2));
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_work_and_sends_nothing_more() {
    let server = Server::start([lost(), Step::Hang]).await;
    let client = client(&server, hasty()).await;
    let call = tokio::spawn(async move { client.embed("m", ["one"]).await });
    server.until("the second try is under way", |server| server.hanging() == 1).await;
    call.abort();
    server.until("the work has ended", |server| server.hanging() == 0).await;
    assert_eq!(server.seen().len(), 2);
}

/// Tokens `t1`, `t2` and so on.
#[derive(Default)]
struct Counting(Arc<AtomicU32>);

impl FetchToken for Counting {
    fn fetch(&self) -> BoxFuture<'_, Result<Lease, Status>> {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        Box::pin(async move { Ok(Lease { token: Token::bearer(&format!("t{number}")).unwrap(), life: None }) })
    }
}

fn stranger() -> Step {
    Step::Fail(Status::unauthenticated("who are you?"))
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    for (second, want) in [(Step::Answer, Code::Ok), (stranger(), Code::Unauthenticated)] {
        let server = Server::start([stranger(), second]).await;
        let client = Client::builder(server.url()).token_source(CachedTokens::new(Counting::default())).connect().await.unwrap();
        let code = client.embed("m", ["one"]).await.map_or_else(|status| status.code(), |_| Code::Ok);
        let shown: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization").unwrap()).collect();
        assert_eq!((code, shown), (want, vec!["Bearer t1".to_owned(), "Bearer t2".to_owned()]));
    }
}

#[tokio::test]
async fn a_refused_key_is_not_shown_twice() {
    let server = Server::start([stranger(), Step::Answer]).await;
    let status = client(&server, hasty()).await.embed("m", ["one"]).await.unwrap_err();
    assert_eq!((status.code(), server.seen().len()), (Code::Unauthenticated, 1));
}

#[tokio::test]
async fn a_call_keeps_the_credential_that_it_brings() {
    let server = Server::start([Step::Answer]).await;
    let mut request = Request::new(EmbedRequest::default());
    request.metadata_mut().insert("authorization", "Bearer own".parse().unwrap());
    client(&server, hasty()).await.text().embed(request).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization").unwrap(), "Bearer own");
}

#[tokio::test]
async fn each_layer_stands_alone_around_a_channel_of_tonics() {
    let server = Server::start([lost(), Step::Answer, Step::Answer, Step::Hang]).await;
    let channel = tonic::transport::Endpoint::from_shared(server.url()).unwrap().connect_lazy();
    let retried = TextServiceClient::new(RetryLayer::new(hasty()).layer(channel.clone())).embed(EmbedRequest::default()).await;
    assert!(retried.is_ok() && server.seen()[0].left().is_none());
    TextServiceClient::new(AuthLayer::api_key("tm_secret").unwrap().layer(channel.clone())).embed(EmbedRequest::default()).await.unwrap();
    assert_eq!(server.seen()[2].header("authorization").unwrap(), "Bearer tm_secret");
    let timed = DeadlineLayer::new(Duration::from_millis(100)).layer(channel);
    let status = TextServiceClient::new(timed).embed(EmbedRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(server.seen()[3].left().unwrap() <= Duration::from_millis(100));
}

#[tokio::test]
async fn an_address_where_nobody_is_costs_no_call_while_another_answers() {
    let server = Server::start([]).await.otherwise(|| Step::Answer);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::builder(format!("http://{free}")).address(server.url()).retries(RetryPolicy::none()).connect().await.unwrap();
    for _ in 0..50 {
        client.embed("m", ["one"]).await.unwrap();
    }
    let back = Server::start_at(free, []).await.otherwise(|| Step::Answer);
    let calls = async {
        while back.seen().is_empty() {
            client.embed("m", ["one"]).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), calls).await.expect("who comes back takes calls again");
}

#[tokio::test]
async fn a_channel_takes_stubs_of_ones_own() {
    let server = Server::start([Step::Answer]).await;
    let mut channel = client(&server, hasty()).await.channel();
    let message = EmbedRequest { texts: vec!["one".to_owned()], ..Default::default() }.encode_to_vec();
    let framed = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
    let request = http::Request::post(format!("{}/torchmesh.text.v1.TextService/Embed", server.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(http_body_util::Full::new(bytes::Bytes::from(framed))))
        .unwrap();
    let answer = channel.call(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
}
