//! Where a call came from.

use std::{
    net::IpAddr,
    task::{Context, Poll},
};

use http::Request;
use tower::Service;

/// The address at the other end of a call's connection, in the extensions of its request: a client's, or that of a proxy in front of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Tells each call of a connection where it came from.
#[derive(Debug, Clone)]
pub(super) struct From<S> {
    inner: S,
    peer: Option<Peer>,
}

impl<S> From<S> {
    /// Of one connection; nothing is told when its other end is gone already.
    pub(super) fn connection(stream: &tokio::net::TcpStream, inner: S) -> Self {
        let peer = stream.peer_addr().ok().map(|addr| Peer(addr.ip().to_canonical()));
        Self { inner, peer }
    }
}

impl<S: Service<Request<R>>, R> Service<Request<R>> for From<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        self.inner.call(request)
    }
}
