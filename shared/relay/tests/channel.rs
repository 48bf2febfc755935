//! Channels by TLS to a real server.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tempfile::TempDir;
use tokio::{
    io::{copy_bidirectional, duplex},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Status};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};
use torchmesh_relay::{
    channel::{Lazy, Peer},
    tls::HopTls,
};
use torchmesh_settings::Section;

/// Somebody who signs certificates, and files with them: `ca.pem`, and a certificate and a key of each name.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Signer {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    /// Signs a certificate for a host, into the files `what.pem` and `what.key`.
    fn sign(&self, what: &str, host: &str) {
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        fs::write(self.file(&format!("{what}.pem")), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(self.file(&format!("{what}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A server with the certificate `server`, which asks for clients' where it is to.
    async fn serve(&self, clients: bool) -> SocketAddr {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(self.file("server.pem")).unwrap()];
        let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(self.file("server.key")).unwrap()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let connections = futures_util::stream::unfold((listener, acceptor), |(listener, acceptor)| async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let (served, mut passed) = duplex(1 << 16);
                    tokio::spawn(async move { copy_bidirectional(&mut stream, &mut passed).await });
                    return Some((Ok::<_, std::io::Error>(served), (listener, acceptor)));
                }
            }
        });
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", ServingStatus::Serving).await;
        tokio::spawn(tonic::transport::Server::builder().add_service(health).serve_with_incoming(Box::pin(connections)));
        address
    }

    /// Whether somebody who believes this signer, with more in the table, is answered.
    async fn asked(&self, address: &str, more: &str) -> Result<(), Status> {
        let table = format!("[accounts_tls]\nca = '{}'\n{more}", self.file("ca.pem"));
        let tls = Section::read_all(table.parse().unwrap(), |s| HopTls::read_for_address(s, "accounts_tls")).unwrap();
        let peer = Peer { address: address.to_owned(), tls };
        let mut client = HealthClient::new(Lazy::to(&peer).unwrap().channel());
        client.check(HealthCheckRequest::default()).await.map(|_| ())
    }

    fn shown(&self) -> String {
        format!("cert = '{}'\nkey = '{}'", self.file("client.pem"), self.file("client.key"))
    }
}

/// Everything that a status says, down to what it came from.
fn told(status: &Status) -> String {
    let (mut text, mut source) = (status.to_string(), std::error::Error::source(status));
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn a_service_is_believed_that_has_the_name_of_its_address_or_the_one_that_is_said() {
    let signer = Signer::new();
    signer.sign("server", "localhost");
    let port = signer.serve(false).await.port();
    signer.asked(&format!("https://localhost:{port}"), "").await.unwrap();
    signer.asked(&format!("https://127.0.0.1:{port}"), "name = 'localhost'").await.unwrap();
    let other = signer.asked(&format!("https://127.0.0.1:{port}"), "").await.unwrap_err();
    assert!(other.code() == Code::Unavailable && told(&other).contains("127.0.0.1"), "{}", told(&other));
}

#[tokio::test]
async fn nobody_is_believed_whom_somebody_else_has_signed() {
    let (signer, stranger) = (Signer::new(), Signer::new());
    stranger.sign("server", "localhost");
    let port = stranger.serve(false).await.port();
    let refused = signer.asked(&format!("https://localhost:{port}"), "").await.unwrap_err();
    assert!(told(&refused).contains("certificate"), "{}", told(&refused));
}

#[tokio::test]
async fn whoever_must_show_a_certificate_shows_it_and_the_next_connection_shows_a_new_one() {
    let signer = Signer::new();
    signer.sign("server", "localhost");
    let address = format!("https://localhost:{}", signer.serve(true).await.port());
    let table = signer.shown();
    let missing = signer.asked(&address, &table).await.unwrap_err();
    assert!(told(&missing).contains("accounts_tls.cert") || told(&missing).contains("accounts_tls.key"), "{}", told(&missing));
    signer.sign("client", "gateway");
    signer.asked(&address, &table).await.unwrap();
    assert!(signer.asked(&address, "").await.is_err(), "without one nobody is let in");
    fs::write(Path::new(&signer.file("client.key")), "no key").unwrap();
    assert!(told(&signer.asked(&address, &table).await.unwrap_err()).contains("accounts_tls.key"));
}

#[tokio::test]
async fn a_port_in_clear_text_is_no_service_by_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, health) = tonic_health::server::health_reporter();
    let connections = futures_util::stream::unfold(listener, |listener| async {
        let stream = listener.accept().await.map(|(stream, _)| stream);
        Some((stream, listener))
    });
    tokio::spawn(tonic::transport::Server::builder().add_service(health).serve_with_incoming(Box::pin(connections)));
    let refused = Signer::new().asked(&format!("https://localhost:{port}"), "").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{}", told(&refused));
}
