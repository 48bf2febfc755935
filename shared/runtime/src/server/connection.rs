//! One connection: TLS or not, HTTP/2 or HTTP/1.1.

use std::{convert::Infallible, future::Future, io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tower::Service;

use super::{
    BoxError, Incoming, Limits, http2,
    peer::{Introduced, Peer},
    tls,
};
use crate::lifecycle::Drain;

/// How long a client may take for its first bytes, its TLS handshake, or the headers of an HTTP/1.1 request.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn serve<S, B>(
    stream: TcpStream,
    tls: Option<tls::Acceptor>,
    service: S,
    drain: Drain,
    limits: Limits,
) -> Result<(), BoxError>
where
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    stream.set_nodelay(true)?;
    let addr = stream.peer_addr()?;
    let hello = until_drain(
        &drain,
        timeout(HELLO_TIMEOUT, async {
            match tls {
                None => Ok::<_, io::Error>((starts_http2(&stream).await?, Transport::Clear(stream))),
                Some(acceptor) => {
                    let secured = acceptor.accept(stream).await?;
                    Ok((tls::chose_http2(&secured), Transport::Tls(Box::new(secured))))
                }
            }
        }),
    );
    let Some(hello) = hello.await else { return Ok(()) };
    let (http2, transport) = hello??;
    let chain = match &transport {
        Transport::Clear(_) => None,
        Transport::Tls(stream) => tls::shown(stream),
    };
    let service = Introduced { inner: service, peer: Arc::new(Peer::new(addr, chain)) };
    match (http2, transport) {
        (true, Transport::Clear(stream)) => http2::serve(stream, service, drain, limits).await,
        (true, Transport::Tls(stream)) => http2::serve(stream, service, drain, limits).await,
        (false, Transport::Clear(stream)) => http1(stream, service, drain).await,
        (false, Transport::Tls(stream)) => http1(stream, service, drain).await,
    }
}

enum Transport {
    Clear(TcpStream),
    Tls(Box<tls::Stream>),
}

/// A connection that has not said anything yet has nothing to lose in a drain.
async fn until_drain<T>(drain: &Drain, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = drain.draining() => None,
    }
}

/// Whether the client begins with HTTP/2's preface (`PRI * HTTP/2.0`, RFC 9113, section 3.4). No method of HTTP/1.1 begins with `PRI`.
async fn starts_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; 3];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == seen.len() || !b"PRI".starts_with(&seen[..count]) {
            return Ok(&seen == b"PRI");
        }
        // One or two bytes came alone, and peeking again returns them at once: give the rest a moment.
        sleep(Duration::from_millis(1)).await;
    }
}

async fn http1<I, S, B>(io: I, service: S, drain: Drain) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let mut service = service.clone();
        async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request.map(Incoming::http1)).await
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HELLO_TIMEOUT).max_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), answer));
    let drained = tokio::select! {
        done = connection.as_mut() => return done.map_err(Into::into),
        () = drain.draining() => connection.as_mut(),
    };
    drained.graceful_shutdown();
    connection.await.map_err(Into::into)
}
