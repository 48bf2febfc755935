//! gRPC as it is on the wire, for calls that a proper client would not make, or not let go of in the middle.

use std::{future::poll_fn, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use prost::Message;
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::{Code, Status};
use torchmesh_api::{frame, timeout};

use crate::KEY;

/// The method that most tests call.
pub const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The same as a stream.
pub const MODEL_STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
/// Text in, vectors out.
pub const EMBED: &str = "/torchmesh.text.v1.TextService/Embed";

const WINDOW: u32 = 1 << 20;
/// How long an answer may take that is not waited for otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// One HTTP/2 connection in clear text. Dropping it closes the socket under whatever calls are open.
#[derive(Debug)]
pub struct Connection {
    send: SendRequest<Bytes>,
    address: SocketAddr,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    /// A call with one message, and no key.
    pub fn new(path: &str, message: &impl Message) -> Self {
        Self::of_bytes(path, frame::encode(message))
    }

    /// A call whose body is exactly these bytes.
    pub fn of_bytes(path: &str, body: impl Into<Bytes>) -> Self {
        let headers = [(header::CONTENT_TYPE, "application/grpc"), (header::TE, "trailers")];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        Self { path: path.to_owned(), headers: HeaderMap::from_iter(headers), body: body.into() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::try_from(value).expect("a header's value"));
        self
    }

    /// Adds the key that gateways let in.
    #[must_use]
    pub fn with_key(self) -> Self {
        self.header("authorization", &format!("Bearer {KEY}"))
    }

    /// Adds a `grpc-timeout`; nobody on this side keeps it.
    #[must_use]
    pub fn within(self, left: Duration) -> Self {
        self.header("grpc-timeout", &timeout::format(left))
    }

    fn head(&self, address: SocketAddr) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("http://{address}{}", self.path).parse().expect("a path");
        request.headers_mut().clone_from(&self.headers);
        request
    }
}

/// A call under way. Dropping it tells the other side that nobody waits any more.
#[derive(Debug)]
pub struct Open {
    /// What the caller has yet to send.
    pub upload: SendStream<Bytes>,
    response: ResponseFuture,
}

/// The whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its headers.
    pub head: HeaderMap,
    /// Its trailers; empty when the status came with the headers.
    pub trailers: HeaderMap,
    /// Its body, prefixes included.
    pub body: Bytes,
}

impl Answer {
    /// How the call ended.
    pub fn status(&self) -> Status {
        let told = Status::from_header_map(&self.trailers).or_else(|| Status::from_header_map(&self.head));
        told.unwrap_or_else(|| Status::unknown("the answer has no grpc-status"))
    }

    /// A trailer's value, wherever it came.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.get(name).or_else(|| self.head.get(name))?.to_str().ok()
    }

    /// The one message of an answer that must be OK.
    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.status().code(), Code::Ok, "{:?}", self.status());
        let bytes = frame::message(self.body.clone()).expect("one whole message");
        M::decode(bytes).expect("a message of this form")
    }
}

impl Connection {
    /// Opens a connection. It counts as open once the server has answered a ping, as gRPC's own clients wait for the server's first word.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let handshake = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_frame_size(256 << 10)
            .handshake(stream)
            .await;
        let (send, mut connection) = handshake.map_err(io::Error::other)?;
        let mut pings = connection.ping_pong();
        let driver = tokio::spawn(async move { drop(connection.await) });
        let opened = Self { send, address, driver };
        if let Some(pings) = &mut pings {
            pings.ping(h2::Ping::opaque()).await.map_err(io::Error::other)?;
        }
        Ok(opened)
    }

    /// Sends the head of a call and leaves its body to the caller.
    pub async fn begin(&self, call: &Call) -> Result<Open, h2::Error> {
        let mut send = self.send.clone();
        poll_fn(|cx| send.poll_ready(cx)).await?;
        let (response, upload) = send.send_request(call.head(self.address), false)?;
        Ok(Open { upload, response })
    }

    /// Sends a call whole and leaves its answer to the caller.
    pub async fn send(&self, call: &Call) -> Result<Open, h2::Error> {
        let mut open = self.begin(call).await?;
        send_all(&mut open.upload, call.body.clone(), true).await?;
        Ok(open)
    }

    /// Makes a call and reads its answer to the end. A server that answers before it has read everything is listened to.
    pub async fn call(&self, call: &Call) -> Result<Answer, h2::Error> {
        let Open { mut upload, response } = self.begin(call).await?;
        let mut answer = std::pin::pin!(read(response));
        tokio::select! {
            early = &mut answer => return early,
            // Why it broke off is told by the answer.
            _ = send_all(&mut upload, call.body.clone(), true) => {}
        }
        answer.await
    }
}

impl Open {
    /// Reads the answer to the end.
    pub async fn answer(self) -> Result<Answer, h2::Error> {
        read(self.response).await
    }
}

/// Opens a connection for one call and makes it. Panics when the connection breaks, or when no answer comes within 20 seconds.
pub async fn call(address: SocketAddr, call: &Call) -> Answer {
    let connection = Connection::open(address).await.expect("the service takes a connection");
    let answered = tokio::time::timeout(PATIENCE, connection.call(call)).await;
    answered.unwrap_or_else(|_| panic!("no answer from {address}{}", call.path)).expect("the service answers")
}

async fn read(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let body = read_data(&mut stream).await?;
    let trailers = stream.trailers().await?.unwrap_or_default();
    Ok(Answer { head: head.headers, trailers, body })
}

pub(crate) async fn read_data(stream: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut body = bytes::BytesMut::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Sends as the other side's windows allow.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut data: Bytes, last: bool) -> Result<(), h2::Error> {
    if data.is_empty() && last {
        return stream.send_data(data, last);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        // What is there already is not announced again.
        let window = match stream.capacity() {
            0 => poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()?,
            window => Some(window),
        };
        let Some(window) = window else { return Ok(()) };
        let part = data.split_to(window.min(data.len()));
        stream.send_data(part, last && data.is_empty())?;
    }
    Ok(())
}
