//! A certificate of the test's own, and connections that trust it and nothing else.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::web::{Connection, connect};

/// The name that the certificate is for.
const HOST: &str = "localhost";

/// A certificate for `localhost`, in files that a service can be given.
#[derive(Debug)]
pub struct Certificate {
    /// The chain, PEM.
    pub cert: String,
    /// The private key, PEM.
    pub key: String,
    roots: Arc<RootCertStore>,
}

impl Certificate {
    /// Makes one, with its files in `folder`.
    pub fn make(folder: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        let file = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).expect("the certificate's file");
            path.display().to_string()
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("it can be trusted");
        Self { cert: file("cert.pem", made.cert.pem()), key: file("key.pem", made.signing_key.serialize_pem()), roots: Arc::new(roots) }
    }

    /// Connects over TLS, offers these protocols, and speaks the one that the service has chosen; also gives its name.
    pub async fn connect(&self, address: SocketAddr, offered: &[&str]) -> (Connection, String) {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let mut config = builder.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let host = ServerName::try_from(HOST).expect("a name");
        let tcp = connect(address).await.expect("the service takes a connection");
        let stream = TlsConnector::from(Arc::new(config)).connect(host, tcp).await.expect("a TLS handshake");
        let chosen = stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        let connection =
            if chosen == "h2" { Connection::over_http2(stream, address).await } else { Connection::over_http1(stream, address).await };
        (connection.expect("a connection"), chosen)
    }
}
