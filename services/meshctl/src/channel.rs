//! Connections to what is asked: in clear text, or by TLS.

use std::path::{Path, PathBuf};

use tonic::transport::{Channel, Error};
use torchmesh_relay::{
    channel::{Lazy, Peer},
    tls::{HopTls, PeerName},
};

use crate::{
    cli::TlsArgs,
    error::{Failure, Result, UNAVAILABLE, USAGE},
};

/// Where systems keep the certificates that they trust.
const TRUSTED: [&str; 4] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// Connects to the service at an address.
pub(crate) async fn connect(address: &str, service: &str, args: &TlsArgs) -> Result<Channel> {
    let url = address_url(address, service)?;
    let tls = if url.starts_with("https://") { Some(read(args, &TRUSTED.map(Path::new))?) } else { None };
    let peer = Peer { address: url.clone(), tls };
    let failed = |error: Error| Failure::new(UNAVAILABLE, unanswered(service, &url, &error));
    Lazy::to(&peer).map_err(|_| not_an_address(address))?.connect().await.map_err(failed)
}

/// `no gateway answers at …`, and why, where that says more than that nobody does.
fn unanswered(service: &str, url: &str, error: &Error) -> String {
    let plain = if service == "accounts" { format!("no accounts answer at {url}") } else { format!("no {service} answers at {url}") };
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if url.starts_with("https://") { format!("{plain}: {deepest}") } else { plain }
}

fn read(args: &TlsArgs, trusted: &[&Path]) -> Result<HopTls> {
    let ca = args.ca_file.clone().or_else(|| trusted.iter().find(|path| path.is_file()).map(|path| path.to_path_buf()));
    let ca = ca.ok_or_else(|| {
        Failure::new(USAGE, "this system has no file of certificates that it trusts")
            .help("--ca-file FILE names those that theirs is signed by")
    })?;
    let shown: Option<(PathBuf, PathBuf)> = match (&args.cert_file, &args.cert_key_file) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Failure::new(USAGE, "--cert-file and --cert-key-file must be given together")),
    };
    let name = args.server_name.as_deref().map_or(Some(PeerName::Asked), PeerName::parse);
    let name = name.ok_or_else(|| Failure::new(USAGE, "--server-name must be a DNS name or a SPIFFE id"))?;
    let tls = HopTls::new("TLS", ca, shown, name);
    // Before anybody is asked: a file that cannot be read is no server that does not answer.
    tls.config().map_err(|problem| Failure::new(USAGE, problem))?;
    Ok(tls)
}

/// The URL of the service at `HOST:PORT`, `http://HOST:PORT`, or `https://HOST[:PORT]`.
pub(crate) fn address_url(address: &str, service: &str) -> Result<String> {
    let (scheme, place) = match address.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => (scheme, place),
        Some(_) => return Err(not_an_address(address)),
        None => ("http", address),
    };
    let place = place.trim_end_matches('/');
    let (host, port) = match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse::<u16>().ok()),
        None => (place, Some(443).filter(|_| scheme == "https")),
    };
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']);
    let Some(port) = port.filter(|_| is_host) else {
        return Err(not_an_address(address)
            .help(format!("write the {service}'s address as HOST:PORT, http://HOST:PORT or https://HOST, for example 127.0.0.1:8080")));
    };
    // One that listens everywhere is asked on this machine.
    let host = if host == "0.0.0.0" { "127.0.0.1" } else { host };
    Ok(format!("{scheme}://{host}:{port}"))
}

fn not_an_address(address: &str) -> Failure {
    Failure::new(USAGE, format!("{address} is not an address"))
        .help("write HOST:PORT, http://HOST:PORT or https://HOST, for example 127.0.0.1:8080")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_its_scheme_or_not() {
        for address in ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "0.0.0.0:8080"] {
            assert_eq!(address_url(address, "gateway").unwrap(), "http://127.0.0.1:8080");
        }
        for (address, url) in [
            ("[::1]:80", "http://[::1]:80"),
            ("https://api.example.org", "https://api.example.org:443"),
            ("https://api.example.org:8443/", "https://api.example.org:8443"),
            ("https://[::1]", "https://[::1]:443"),
        ] {
            assert_eq!(address_url(address, "gateway").unwrap(), url);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_right_form() {
        for address in ["", "localhost", ":8080", "https://", "http://a", "ftp://a:1", "http://a:1/path", "http://u@a:1", "a:99999"] {
            assert_eq!(address_url(address, "gateway").unwrap_err().code, USAGE, "{address:?} was taken");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_named_before_anybody_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "no certificate").unwrap();
        let of = |args: TlsArgs, trusted: &[&Path]| read(&args, trusted).unwrap_err();
        let absent = TlsArgs { ca_file: Some(folder.path().join("absent.pem")), ..Default::default() };
        assert!(of(absent, &[]).problem.contains("absent.pem"));
        assert_eq!(of(TlsArgs::default(), &[&folder.path().join("none")]).code, USAGE);
        let half = TlsArgs { ca_file: Some(ca.clone()), cert_file: Some(ca.clone()), ..Default::default() };
        assert!(of(half, &[]).problem.contains("together"));
        let name = TlsArgs { ca_file: Some(ca), server_name: Some("spiffe://*".into()), ..Default::default() };
        assert!(of(name, &[]).problem.contains("--server-name"));
    }
}
