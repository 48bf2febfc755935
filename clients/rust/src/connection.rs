//! One connection: TCP, and TLS over it.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{BoxFuture, ConnectError};

/// How long it may take until a connection stands.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those that the system believes.
    System,
    /// Those that are signed by one of these (PEM).
    Only(Vec<u8>),
}

/// What is shown to a server that asks for a certificate: the chain and its key, PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// How a server is spoken to over TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// `host` is the name in the server's certificate, `protocol` is what is spoken within.
    pub(crate) fn new(host: &str, trust: &Trust, identity: Option<&Identity>, protocol: &str) -> Result<Self, ConnectError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            ServerName::try_from(bare).map_err(|_| ConnectError::certificate("address", "its host is no name that a certificate has"))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| ConnectError::certificate("address", error))?.with_root_certificates(roots(trust)?);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates("identity", &identity.chain)?;
                let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| ConnectError::certificate("identity", error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| ConnectError::certificate("identity", error))?
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(Self { connector: Arc::new(config).into(), name })
    }
}

fn certificates(field: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| ConnectError::certificate(field, error))?;
    if read.is_empty() { Err(ConnectError::certificate(field, "it has no certificate; give PEM")) } else { Ok(read) }
}

fn roots(trust: &Trust) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Only(pem) => {
            for root in certificates("ca", pem)? {
                roots.add(root).map_err(|error| ConnectError::certificate("ca", error))?;
            }
        }
        Trust::System => {
            // Some systems list certificates that nobody can read; the others are as good without them.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(ConnectError::certificate("ca", "this system has no root certificates; give the ones to trust"));
            }
        }
    }
    Ok(roots)
}

/// Connects to one address.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Tls>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Dialer {
    pub(crate) async fn dial(self) -> io::Result<Stream> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, format!("{} does not answer within {PATIENCE:?}", self.address));
        timeout(PATIENCE, self.open()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open(&self) -> io::Result<Stream> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Stream(Box::pin(tcp)),
            Some(tls) => Stream(Box::pin(tls.connector.connect(tls.name.clone(), tcp).await?)),
        })
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Whatever the URI says, there is one address.
    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async { dialer.dial().await.map(TokioIo::new) })
    }
}

trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// A connection, with TLS or without.
pub(crate) struct Stream(Pin<Box<dyn Io>>);

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut tokio::io::ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.as_mut().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
