//! TLS by rustls, with ALPN for HTTP/2 and HTTP/1.1. TLS 1.2 and 1.3.

use std::{io, sync::Arc};

use rustls::{ServerConfig, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{config::TlsSettings, process::StartError};

pub(super) type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// Makes TLS of a connection.
#[derive(Clone)]
pub(super) struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Acceptor {
    /// Reads the certificate chain and the key.
    pub(super) fn load(settings: &TlsSettings) -> Result<Self, StartError> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let chain = CertificateDer::pem_file_iter(&settings.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong("tls.cert is not a PEM certificate chain", &error))?;
        let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| wrong("tls.key is not a PEM private key", &error))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| wrong("tls.cert and tls.key do not fit together", &error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        self.0.accept(stream).await
    }
}

/// Whether the client chose HTTP/2.
pub(super) fn chose_http2(stream: &Stream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
