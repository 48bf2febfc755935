//! From where a call came.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use tower::Service;

/// The other end of a call's connection, in the extensions of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Tells every call of a connection from where it came.
#[derive(Debug, Clone)]
pub(super) struct Told<S> {
    inner: S,
    peer: Peer,
}

impl<S> Told<S> {
    pub(super) fn new(inner: S, peer: SocketAddr) -> Self {
        Self { inner, peer: Peer(peer) }
    }
}

impl<S: Service<http::Request<R>>, R> Service<http::Request<R>> for Told<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<R>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.inner.call(request)
    }
}
