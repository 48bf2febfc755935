//! Calls whose answer is a stream, read message by message.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::{SendStream, server};
use http::{HeaderMap, HeaderValue, Response};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{GRPC_MESSAGE, GRPC_STATUS},
    ids::InstanceId,
};
use torchmesh_relay::{Endpoint, Group, Messages};

use crate::fake::{BOUND, MESSAGE, group, relay};

/// What an endpoint does with the one call that it gets, once its headers are sent.
enum Does {
    /// Sends these frames, then ends with the code; without one it closes the connection.
    Sends(Vec<&'static [u8]>, Option<&'static str>),
    /// Answers with a code and nothing else.
    Refuses(&'static str),
    /// Sends messages as long as it may, and counts their bytes.
    NeverEnds(Arc<AtomicUsize>),
    /// Sends one message, and tells when nobody waits for more.
    Waits(oneshot::Sender<()>),
}

async fn endpoint(does: Does) -> Arc<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(InstanceId::parse("one").unwrap(), listener.local_addr().unwrap(), 1);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = server::handshake(stream).await.unwrap();
        let (_, mut reply) = connection.accept().await.unwrap().unwrap();
        if let Does::Refuses(code) = does {
            let mut head = Response::new(());
            *head.headers_mut() = status(code);
            reply.send_response(head, true).unwrap();
            return poll_fn(|cx| connection.poll_closed(cx)).await.unwrap_or(());
        }
        let body = reply.send_response(Response::new(()), false).unwrap();
        tokio::select! {
            () = answer(body, does) => {}
            _ = poll_fn(|cx| connection.poll_closed(cx)) => {}
        }
    });
    Arc::new(endpoint)
}

/// Ends when the connection is to be closed.
async fn answer(mut body: SendStream<Bytes>, does: Does) {
    match does {
        Does::Sends(frames, code) => {
            for frame in frames {
                body.send_data(Bytes::from_static(frame), false).unwrap();
                // Each in a frame of its own.
                tokio::task::yield_now().await;
            }
            match code {
                Some(code) => body.send_trailers(status(code)).unwrap(),
                // Long enough for what was sent to leave.
                None => return tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Does::NeverEnds(sent) => loop {
            body.reserve_capacity(MESSAGE.len());
            while body.capacity() < MESSAGE.len() {
                if poll_fn(|cx| body.poll_capacity(cx)).await.is_none() {
                    return;
                }
            }
            body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
            sent.fetch_add(MESSAGE.len(), Ordering::SeqCst);
        },
        Does::Waits(gone) => {
            body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
            let _ = poll_fn(|cx| body.poll_reset(cx)).await;
            let _ = gone.send(());
        }
        Does::Refuses(_) => {}
    }
    std::future::pending::<()>().await;
}

fn status(code: &'static str) -> HeaderMap {
    let [status, message] = [code, "as it was told"].map(HeaderValue::from_static);
    HeaderMap::from_iter([(GRPC_STATUS, status), (GRPC_MESSAGE, message)])
}

/// The answer, and what holds the connection open.
async fn begin(does: Does, allowed: Duration) -> (Messages, Arc<Group>) {
    let group = group(&[endpoint(does).await]);
    let (relay, until) = (relay(1, 1000), Instant::now() + allowed);
    let begun = relay.stream("/test/Call", HeaderMap::new(), Bytes::from_static(MESSAGE), until, &group).await;
    (begun.unwrap(), group)
}

/// All messages, and how it ended.
async fn read(does: Does) -> (Vec<Bytes>, Result<(), ApiError>) {
    let (mut messages, _open) = begin(does, BOUND).await;
    let mut come = Vec::new();
    let ended = loop {
        match timeout(BOUND, messages.next()).await.expect("the answer hangs") {
            Some(Ok(message)) => come.push(message),
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    assert!(messages.next().await.is_none(), "nothing follows the end");
    (come, ended)
}

#[tokio::test]
async fn messages_are_found_wherever_the_frames_are_cut() {
    let frames: Vec<&[u8]> = vec![&[0, 0], &[0, 0, 2, b'a'], &[b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'c', 0, 0], &[0, 0, 1], b"d"];
    let (come, ended) = read(Does::Sends(frames, Some("0"))).await;
    assert_eq!(come, ["ab", "", "c", "d"]);
    assert_eq!(ended, Ok(()));
}

#[tokio::test]
async fn an_error_comes_behind_the_messages_in_front_of_it() {
    let (come, ended) = read(Does::Sends(vec![MESSAGE], Some("8"))).await;
    assert_eq!(come.len(), 1);
    let error = ended.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::ResourceExhausted, "as it was told"));
    let (come, ended) = read(Does::Sends(vec![MESSAGE], None)).await;
    assert_eq!((come.len(), ended.unwrap_err().kind), (1, ErrorKind::Unavailable));
}

#[tokio::test]
async fn a_status_without_an_answer_and_half_a_message_are_errors() {
    assert_eq!(read(Does::Refuses("3")).await.1.unwrap_err().kind, ErrorKind::InvalidArgument);
    assert_eq!(read(Does::Sends(vec![], Some("5"))).await.1.unwrap_err().kind, ErrorKind::NotFound);
    for frame in [&MESSAGE[..6], &[1, 0, 0, 0, 0], &[0, 255, 255, 255, 255]] {
        assert_eq!(read(Does::Sends(vec![frame], Some("0"))).await.1.unwrap_err().kind, ErrorKind::Internal, "{frame:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_never_ends_sends_no_more_than_a_window_ahead() {
    let sent = Arc::new(AtomicUsize::new(0));
    let (mut messages, _open) = begin(Does::NeverEnds(Arc::clone(&sent)), BOUND).await;
    // Until it may send no more: with nobody reading, the count stands still.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before <= 3 << 20, "{before} bytes were sent ahead");
    for _ in 0..before / MESSAGE.len() + 1000 {
        timeout(BOUND, messages.next()).await.unwrap().unwrap().unwrap();
    }
    assert!(sent.load(Ordering::SeqCst) > before, "reading lets it go on");
}

#[tokio::test]
async fn letting_go_resets_the_endpoints_stream() {
    let (gone, told) = oneshot::channel();
    let (mut messages, _open) = begin(Does::Waits(gone), BOUND).await;
    assert!(messages.next().await.unwrap().is_ok());
    drop(messages);
    timeout(BOUND, told).await.expect("the endpoint is not told").unwrap();
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_says_nothing_and_resets_it() {
    let (gone, told) = oneshot::channel();
    let (mut messages, _open) = begin(Does::Waits(gone), Duration::from_millis(300)).await;
    assert!(messages.next().await.unwrap().is_ok());
    assert_eq!(messages.next().await.unwrap().unwrap_err().kind, ErrorKind::DeadlineExceeded);
    timeout(BOUND, told).await.expect("the endpoint is not told").unwrap();
}
