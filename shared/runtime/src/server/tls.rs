//! TLS by rustls, with ALPN for HTTP/2 and HTTP/1.1. TLS 1.2 and 1.3. Certificates are read again when their files change.

use std::{io, path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::{config::TlsSettings, process::StartError};

pub(super) type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Makes TLS of a connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Acceptor {
    config: Arc<ArcSwap<ServerConfig>>,
    settings: Arc<TlsSettings>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Acceptor {
    /// Reads the certificate chain and the key, and whom clients' certificates must be signed by.
    pub(super) fn load(settings: &TlsSettings) -> Result<Self, StartError> {
        let config = Arc::new(ArcSwap::from_pointee(server_config(settings)?));
        Ok(Self { config, settings: Arc::new(settings.clone()) })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }

    /// Reads the files again whenever they change; what is wrong is reported in the log, and what was good last stays. Connections that are open keep what
    /// they began with.
    pub(super) async fn keep_up(self) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = self.bytes();
        loop {
            tick.tick().await;
            let now = self.bytes();
            if now == last {
                continue;
            }
            last = now;
            match server_config(&self.settings) {
                Ok(config) => {
                    tracing::info!("the TLS certificates changed");
                    self.config.store(Arc::new(config));
                }
                Err(error) => tracing::error!(%error, "the TLS certificates are wrong; the last good ones stay in use"),
            }
        }
    }

    fn bytes(&self) -> Vec<Option<Vec<u8>>> {
        let TlsSettings { cert, key, client_ca, .. } = &*self.settings;
        let files = [Some(cert), Some(key), client_ca.as_ref()];
        files.into_iter().flatten().map(|path| std::fs::read(path).ok()).collect()
    }
}

fn server_config(settings: &TlsSettings) -> Result<ServerConfig, StartError> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let chain = certificates(&settings.cert).map_err(|error| wrong("tls.cert is not a PEM certificate chain", &error))?;
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| wrong("tls.key is not a PEM private key", &error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(path).map_err(|error| wrong("tls.client_ca is not PEM certificates", &error))? {
                roots.add(root).map_err(|error| wrong("tls.client_ca has a certificate that cannot be used", &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if settings.client_certificate_required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong("tls.client_ca", &error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| wrong("tls.cert and tls.key do not fit together", &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, rustls_pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect)
}

/// Whether the client chose HTTP/2.
pub(super) fn chose_http2(stream: &Stream) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// What the client has shown, which the handshake has found to be good.
pub(super) fn shown(stream: &Stream) -> Option<&[CertificateDer<'static>]> {
    stream.get_ref().1.peer_certificates()
}
