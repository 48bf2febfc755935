//! Asking the mesh through its front door, with a key, as any caller would.

use std::{path::Path, time::Duration};

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use crate::{
    channel,
    cli::ClientArgs,
    error::{Failure, NOT_ALLOWED, Result},
    home::Home,
    key,
    run_file::RunFile,
};

const DEFAULT_GATEWAY: &str = "127.0.0.1:8080";
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
        let channel = channel::connect(address, "gateway", &args.tls).await.map_err(|failure| {
            failure.otherwise("`meshctl up --detach` starts a mesh here; --gateway or TORCHMESH_GATEWAY_ADDR names another place")
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

#[cfg(test)]
mod tests {
    use super::*;

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
