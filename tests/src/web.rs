//! Plain HTTP, one connection at a time, so that a test knows which protocol is spoken and which connection is used.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use crate::KEY;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The protocol that it came by.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{} is no JSON ({error}): {}", self.status, self.text()))
    }
}

/// One connection. Dropping it closes the socket under whatever is asked.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    address: SocketAddr,
    driver: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// HTTP/1.1 in clear text.
    pub async fn http1(address: SocketAddr) -> io::Result<Self> {
        Self::over_http1(connect(address).await?, address).await
    }

    /// HTTP/2 in clear text, with prior knowledge.
    pub async fn http2(address: SocketAddr) -> io::Result<Self> {
        Self::over_http2(connect(address).await?, address).await
    }

    pub(crate) async fn over_http1<I>(io: I, address: SocketAddr) -> io::Result<Self>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::Http1(sender), address, driver })
    }

    pub(crate) async fn over_http2<I>(io: I, address: SocketAddr) -> io::Result<Self>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.map_err(io::Error::other)?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::Http2(sender), address, driver })
    }

    /// Sends a request whose URI is only a path, and reads the answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Answer, hyper::Error> {
        let (mut parts, body) = request.into_parts();
        let (address, path) = (self.address, parts.uri.path().to_owned());
        let answered = match &mut self.sender {
            Sender::Http1(sender) => {
                parts.headers.insert(header::HOST, address.to_string().parse().expect("an address is a header's value"));
                sender.ready().await?;
                sender.send_request(Request::from_parts(parts, Full::new(body))).await?
            }
            Sender::Http2(sender) => {
                parts.uri = format!("http://{address}{path}").parse().expect("a path");
                parts.version = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(Request::from_parts(parts, Full::new(body))).await?
            }
        };
        let (head, body) = answered.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), version: head.version, headers: head.headers, body })
    }

    /// `GET` with the key that gateways let in. Panics when the connection breaks.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(request(Method::GET, path, Bytes::new())).await.expect("an answer")
    }

    /// `POST` of JSON, with the key that gateways let in. Panics when the connection breaks.
    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(request(Method::POST, path, body.to_string())).await.expect("an answer")
    }
}

/// A request with the key that gateways let in, its body JSON.
pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::AUTHORIZATION, format!("Bearer {KEY}")).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).expect("a request")
}

/// `GET` over a connection of its own, HTTP/1.1, no key.
pub async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let request = Request::builder().uri(path).body(Bytes::new()).map_err(io::Error::other)?;
    Connection::http1(address).await?.send(request).await.map_err(io::Error::other)
}

/// `POST` of JSON over a connection of its own, HTTP/1.1, with the key. Panics when the connection breaks.
pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    Connection::http1(address).await.expect("a connection").post(path, body).await
}

/// Sends bytes as they are, closes its side, and gives all that comes back, as text.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut stream = connect(address).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
