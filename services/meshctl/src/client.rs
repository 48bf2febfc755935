//! Asking the mesh through its front door, with a key, as any caller would.

use std::{path::Path, time::Duration};

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    cli::ClientArgs,
    error::{Failure, NOT_ALLOWED, Result, UNAVAILABLE, USAGE},
    home::Home,
    key,
    run_file::RunFile,
};

const DEFAULT_GATEWAY: &str = "127.0.0.1:8080";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A long list of texts comes back as more than tonic's default of 4 MiB.
pub(crate) const MAX_ANSWER: usize = 256 << 20;

/// A connection to the gateway, and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The connection.
    pub(crate) channel: Channel,
    bearer: MetadataValue<Ascii>,
    timeout: Duration,
}

impl Caller {
    /// Connects as the arguments say.
    pub(crate) async fn connect(args: &ClientArgs, home: &Home) -> Result<Self> {
        let bearer = bearer(&api_key(args.key_file.as_deref(), home)?)?;
        let running = RunFile::read(home)?;
        let address = args.gateway.as_deref().or_else(|| running.as_ref()?.gateway()).unwrap_or(DEFAULT_GATEWAY);
        let url = address_url(address, "gateway")?;
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| not_an_address(address))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(|_| {
            Failure::new(UNAVAILABLE, format!("no gateway answers at {url}"))
                .help("`meshctl up --detach` starts a mesh here; --gateway or TORCHMESH_GATEWAY_ADDR names another place")
        })?;
        Ok(Self { channel, bearer, timeout: args.timeout })
    }

    /// A request with the key and the deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request.set_timeout(self.timeout);
        request
    }
}

/// The key: the given file's, else the environment's, else the local mesh's.
fn api_key(file: Option<&Path>, home: &Home) -> Result<String> {
    let missing = |problem: String| Failure::new(NOT_ALLOWED, problem).help("--key-file FILE or TORCHMESH_KEY gives one");
    if let Some(file) = file {
        return key::read(file)?.ok_or_else(|| missing(format!("{} holds no key", file.display())));
    }
    if let Some(key) = std::env::var("TORCHMESH_KEY").ok().filter(|key| !key.is_empty()) {
        return Ok(key);
    }
    key::read(&home.dev_key())?.ok_or_else(|| missing(format!("there is no API key: {} is absent", home.shown().join("dev.key").display())))
}

/// What shows a key or a token.
pub(crate) fn bearer(key: &str) -> Result<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}")
        .parse()
        .map_err(|_| Failure::new(NOT_ALLOWED, "the API key has characters that no key has; is it the right file?"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The URL of the service at `HOST:PORT` or `http://HOST:PORT`.
pub(crate) fn address_url(address: &str, service: &str) -> Result<String> {
    if address.starts_with("https://") {
        let help = format!("use the {service}'s address inside the cluster, as http://HOST:PORT");
        return Err(Failure::new(USAGE, "meshctl does not speak TLS").help(help));
    }
    let place = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    let port = place.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() || place.contains(['/', '@', ' ']) {
        return Err(not_an_address(address));
    }
    // One that listens everywhere is asked on this machine.
    let place = place.strip_prefix("0.0.0.0:").map_or_else(|| place.to_owned(), |port| format!("127.0.0.1:{port}"));
    Ok(format!("http://{place}"))
}

fn not_an_address(address: &str) -> Failure {
    Failure::new(USAGE, format!("{address} is not an address")).help("write HOST:PORT or http://HOST:PORT, for example 127.0.0.1:8080")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_its_scheme_or_not() {
        for address in ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "0.0.0.0:8080"] {
            assert_eq!(address_url(address, "gateway").unwrap(), "http://127.0.0.1:8080");
        }
        assert_eq!(address_url("[::1]:80", "gateway").unwrap(), "http://[::1]:80");
    }

    #[test]
    fn anything_else_is_refused_with_the_right_form() {
        for address in ["", "localhost", ":8080", "https://a:1", "http://a:1/path", "http://u@a:1", "a:99999"] {
            assert_eq!(address_url(address, "gateway").unwrap_err().code, USAGE, "{address:?} was taken");
        }
    }

    #[test]
    fn a_key_file_beats_the_key_of_the_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        let other = folder.path().join("other.key");
        std::fs::write(home.dev_key(), "tm_dev_a\n").unwrap();
        std::fs::write(&other, " tm_b\n").unwrap();
        assert_eq!(api_key(Some(&other), &home).unwrap(), "tm_b");
        assert_eq!(api_key(Some(&folder.path().join("none")), &home).unwrap_err().code, NOT_ALLOWED);
    }

    #[test]
    fn a_key_never_shows_in_debug_output() {
        let value = bearer("tm_dev_secret").unwrap();
        assert!(!format!("{value:?}").contains("secret"));
        assert_eq!(bearer("two\nlines").unwrap_err().code, NOT_ALLOWED);
    }
}
