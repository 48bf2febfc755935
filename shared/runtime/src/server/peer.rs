//! Who is at the other end of a connection.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use rustls_pki_types::CertificateDer;
use tower::Service;
use webpki::EndEntityCert;

/// Who is at the other end of a connection: an `Arc<Peer>` in the extensions of each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address: a client's, or that of a proxy in front of us. One of IPv4 is written as such, however it came.
    pub addr: SocketAddr,
    /// Whether it has shown a certificate that `tls.client_ca` has signed.
    pub has_certificate: bool,
    /// The URIs among that certificate's names: SPIFFE ids are there.
    pub uris: Vec<String>,
}

impl Peer {
    /// A peer; `chain` is what it has shown and was found to be good, the leaf first.
    pub(super) fn new(addr: SocketAddr, chain: Option<&[CertificateDer<'_>]>) -> Self {
        let leaf = chain.and_then(<[_]>::first);
        let names = leaf.and_then(|leaf| EndEntityCert::try_from(leaf).ok());
        let uris = names.map(|names| names.valid_uri_names().map(str::to_owned).collect()).unwrap_or_default();
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        Self { addr, has_certificate: leaf.is_some(), uris }
    }
}

/// Puts the peer into each request.
#[derive(Debug, Clone)]
pub(super) struct Introduced<S> {
    pub(super) inner: S,
    pub(super) peer: Arc<Peer>,
}

impl<S, B> Service<Request<B>> for Introduced<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(Arc::clone(&self.peer));
        self.inner.call(request)
    }
}
