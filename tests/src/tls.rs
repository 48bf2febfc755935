//! A certificate of the test's own, connections that trust it and nothing else, and certificates that clients show.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
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
        self.connect_as(address, offered, None).await.expect("a TLS connection")
    }

    /// The same for a client that shows a certificate where it has one and is asked for it.
    ///
    /// Error: the handshake failed.
    pub async fn connect_as(&self, address: SocketAddr, offered: &[&str], shown: Option<&Shown>) -> io::Result<(Connection, String)> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
        let builder = builder.with_root_certificates(Arc::clone(&self.roots));
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(Shown { chain, key }) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).expect("they fit together"),
        };
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let host = ServerName::try_from(HOST).expect("a name");
        let tcp = connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(host, tcp).await?;
        let chosen = stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
        let connection =
            if chosen == "h2" { Connection::over_http2(stream, address).await } else { Connection::over_http1(stream, address).await };
        Ok((connection?, chosen))
    }
}

/// A client's certificate and its key.
#[derive(Debug)]
pub struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Whoever signs the certificates of clients.
#[derive(Debug)]
pub struct Authority {
    /// Its own certificate, PEM.
    pub ca: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, with its certificate in a file of this name in `folder`.
    pub fn make(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let (path, own) = (folder.join(name), params.self_signed(&key).expect("a certificate"));
        fs::write(&path, own.pem()).expect("the certificate's file");
        Self { ca: path.display().to_string(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for a service with this SPIFFE id, in PEM files in `folder`: the certificate's and the key's.
    pub fn service(&self, folder: &Path, spiffe: &str) -> [String; 2] {
        self.service_until(folder, spiffe, None)
    }

    /// The same, with one that runs out then.
    pub fn service_until(&self, folder: &Path, spiffe: &str, end: Option<SystemTime>) -> [String; 2] {
        let Shown { chain, key } = self.issue(spiffe, end);
        let pem = |label: &str, der: &[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
        [("service.pem", pem("CERTIFICATE", &chain[0])), ("service.key", pem("PRIVATE KEY", key.secret_der()))].map(|(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text).expect("the certificate's file");
            path.display().to_string()
        })
    }

    /// A certificate for a workload with this SPIFFE id.
    pub fn workload(&self, spiffe: &str) -> Shown {
        self.issue(spiffe, None)
    }

    fn issue(&self, spiffe: &str, end: Option<SystemTime>) -> Shown {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names.push(SanType::URI(spiffe.try_into().expect("a URI has letters that a certificate can hold")));
        if let Some(end) = end {
            params.not_after = end.into();
        }
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        Shown { chain: vec![made.der().clone()], key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }
}
