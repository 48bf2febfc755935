//! Server-sent events, read one by one as they come, so that a test sees when they do.

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, Method, Request, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{task::JoinHandle, time::timeout};

use crate::web;

/// How long an event may take that is sent already.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that is being read. Dropping it closes the connection.
#[derive(Debug)]
pub struct Events {
    /// The status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    come: BytesMut,
    driver: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Opens a connection of this protocol, sends JSON with the key that gateways let in, and waits for the head of the answer.
pub async fn post(address: SocketAddr, version: Version, path: &str, body: &Value) -> Events {
    let stream = TokioIo::new(web::connect(address).await.expect("the gateway takes a connection"));
    let (parts, body) = web::request(Method::POST, path, body.to_string()).into_parts();
    let mut request = Request::from_parts(parts, Full::new(body));
    let (response, driver) = if version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2 is spoken");
        let driver = tokio::spawn(async move { drop(connection.await) });
        *request.uri_mut() = format!("http://{address}{path}").parse().expect("a path");
        *request.version_mut() = Version::HTTP_2;
        (sender.send_request(request).await, driver)
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.expect("HTTP/1.1 is spoken");
        let driver = tokio::spawn(async move { drop(connection.await) });
        request.headers_mut().insert(header::HOST, address.to_string().parse().expect("an address is a header's value"));
        (sender.send_request(request).await, driver)
    };
    let (head, body) = response.expect("an answer").into_parts();
    assert_eq!(head.version, version);
    Events { status: head.status.as_u16(), headers: head.headers, body, come: BytesMut::new(), driver }
}

impl Events {
    /// The next event, or comment, as it was written, without the empty line behind it; `None` at the end. Panics when nothing comes.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.come.windows(2).position(|two| two == b"\n\n") {
                let event = self.come.split_to(end + 2);
                return Some(String::from_utf8(event[..end].to_vec()).expect("events are whole characters"));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("an event, or the end")?;
            self.come.extend_from_slice(&frame.expect("the answer is not cut off").into_data().unwrap_or_default());
        }
    }

    /// The data of the next event. Panics at the end.
    pub async fn data(&mut self) -> Value {
        let event = self.next().await.expect("one more event");
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?} has no data"));
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{data:?} is no JSON: {error}"))
    }

    /// All that is left: the data of the events, and whether `[DONE]` ended them.
    pub async fn rest(mut self) -> (Vec<Value>, bool) {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            if event == "data: [DONE]" {
                assert!(self.next().await.is_none(), "nothing follows [DONE]");
                return (all, true);
            }
            all.push(serde_json::from_str(event.strip_prefix("data: ").expect("data")).expect("JSON"));
        }
        (all, false)
    }

    /// The body to its end, as JSON.
    pub async fn json(mut self) -> Value {
        let mut whole = Vec::new();
        while let Some(frame) = self.body.frame().await {
            whole.extend_from_slice(&frame.expect("the answer is whole").into_data().unwrap_or_default());
        }
        serde_json::from_slice(&whole).expect("JSON")
    }
}
