//! TLS to the next hop: it shows who it is, and so do we.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_rustls::TlsConnector;
use torchmesh_settings::Section;
use webpki::EndEntityCert;

/// `mesh_tls`, and tables like it: how the services behind this one are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopTls {
    /// The table's name, for what is wrong with its files.
    table: &'static str,
    /// `mesh_tls.ca`: PEM certificates that theirs must be signed by. Required.
    pub ca: PathBuf,
    /// `mesh_tls.cert` and `mesh_tls.key`: what they are shown, PEM, the chain with the leaf first. Default nothing.
    pub shown: Option<(PathBuf, PathBuf)>,
    /// `mesh_tls.name`: the name in their certificates. Required, where they have no address of their own.
    pub name: PeerName,
}

/// What a certificate must say to be that of a service of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// A DNS name, or an address.
    Host(ServerName<'static>),
    /// A SPIFFE id.
    Spiffe(String),
    /// SPIFFE ids that begin so.
    SpiffeBelow(String),
    /// The host of the address that is connected to.
    Asked,
}

impl PeerName {
    /// Reads `torchmesh.internal`, `spiffe://example.org/ns/mesh/sa/router`, or `spiffe://example.org/ns/mesh/*`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("spiffe://") {
            Some(rest) => match text.strip_suffix("/*") {
                Some(above) if !rest.starts_with('*') => Some(Self::SpiffeBelow(format!("{above}/"))),
                _ => (!rest.is_empty() && !text.contains('*')).then(|| Self::Spiffe(text.to_owned())),
            },
            None => ServerName::try_from(text.to_owned()).ok().map(Self::Host),
        }
    }

    fn is_in(&self, leaf: &CertificateDer<'_>) -> bool {
        let Ok(names) = EndEntityCert::try_from(leaf) else { return false };
        let mut uris = names.valid_uri_names();
        // An X.509-SVID has one URI and no more.
        let (first, second) = (uris.next(), uris.next());
        match (self, first, second) {
            (Self::Spiffe(id), Some(uri), None) => uri == id,
            (Self::SpiffeBelow(above), Some(uri), None) => uri.strip_prefix(above.as_str()).is_some_and(|rest| !rest.is_empty()),
            _ => false,
        }
    }
}

impl HopTls {
    /// By these files; `named` is what they are part of, in what is said of them.
    pub fn new(named: &'static str, ca: PathBuf, shown: Option<(PathBuf, PathBuf)>, name: PeerName) -> Self {
        Self { table: named, ca, shown, name }
    }

    /// Reads the table `mesh_tls`; without it the next hop is spoken to in clear text.
    pub fn read(s: &mut Section) -> Option<Self> {
        Self::read_table(s, "mesh_tls", |s| s.required("name"))
    }

    /// Reads a table like it for a service that has an address, whose host is the name unless another is said.
    pub fn read_for_address(s: &mut Section, table: &'static str) -> Option<Self> {
        Self::read_table(s, table, |s| s.optional("name"))
    }

    fn read_table(s: &mut Section, table: &'static str, name: impl FnOnce(&mut Section) -> Option<String>) -> Option<Self> {
        if !s.has(table) {
            return None;
        }
        s.section(table, |s| {
            let (ca, name) = (s.required::<PathBuf>("ca"), name(s));
            let (cert, key) = (s.optional::<PathBuf>("cert"), s.optional::<PathBuf>("key"));
            s.check(cert.is_some() == key.is_some(), "cert", "and key must be given together");
            let read = name.as_deref().map_or(Some(PeerName::Asked), PeerName::parse);
            s.check(read.is_some(), "name", "must be a DNS name, a SPIFFE id, or the beginning of SPIFFE ids with /* at its end");
            Some(Self { table, ca: ca?, shown: cert.zip(key), name: read? })
        })
    }

    /// Reads the files, which is done for each connection: what was renewed is used from the next one on.
    ///
    /// Error: which file is wrong, and how.
    pub fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        let table = self.table;
        for root in self.certificates("ca", &self.ca)? {
            roots.add(root).map_err(|error| format!("{table}.ca: {error}"))?;
        }
        let verifier = Arc::new(Verifier { roots, table, name: self.name.clone(), provider: Arc::clone(&provider) });
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.shown {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{table}.key: {}: {error}", key.display()))?;
                let fitting = builder.with_client_auth_cert(self.certificates("cert", cert)?, key);
                fitting.map_err(|error| format!("{table}.cert and {table}.key do not fit together: {error}"))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// What makes TLS of a connection to this host, and the name that is asked for.
    ///
    /// Error: which file is wrong, and how.
    pub(crate) fn connector(&self, host: &str) -> Result<(TlsConnector, ServerName<'static>), String> {
        let name = match &self.name {
            PeerName::Host(name) => name.clone(),
            PeerName::Asked => ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?,
            // Sent as the name that is asked for, and not looked at: the certificate has a SPIFFE id.
            PeerName::Spiffe(_) | PeerName::SpiffeBelow(_) => ServerName::try_from("torchmesh").map_err(|error| error.to_string())?,
        };
        Ok((TlsConnector::from(Arc::new(self.config()?)), name))
    }

    fn certificates(&self, setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        read.map_err(|error| format!("{}.{setting}: {}: {error}", self.table, path.display()))
    }
}

/// Holds a certificate against those who may have signed it, and against the name.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    table: &'static str,
    name: PeerName,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, algorithms)?;
        match &self.name {
            PeerName::Host(name) => verify_server_name(&leaf, name)?,
            PeerName::Asked => verify_server_name(&leaf, asked)?,
            name if name.is_in(end_entity) => {}
            _ => return Err(Error::General(format!("the certificate is not that of {}.name", self.table))),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_host_an_id_or_the_beginning_of_ids() {
        assert!(matches!(PeerName::parse("torchmesh.internal"), Some(PeerName::Host(_))));
        assert_eq!(PeerName::parse("spiffe://a/b"), Some(PeerName::Spiffe("spiffe://a/b".to_owned())));
        assert_eq!(PeerName::parse("spiffe://a/*"), Some(PeerName::SpiffeBelow("spiffe://a/".to_owned())));
        for wrong in ["", "spiffe://", "spiffe://*", "spiffe://*/*", "spiffe://a/*/b", "a b"] {
            assert_eq!(PeerName::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let read = |text: &str| Section::read_all(text.parse().unwrap(), HopTls::read).map_err(|problems| problems.to_string());
        assert_eq!(read("").unwrap(), None);
        let report = read("[mesh_tls]\nname = 'spiffe://*'\ncert = 'x'").unwrap_err();
        for part in ["mesh_tls.ca", "mesh_tls.name", "mesh_tls.cert: and key"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
