//! Where an issuer's keys are read: over HTTPS, or from a file.

use std::{path::PathBuf, time::Duration};

use reqwest::{Client, Url};
use serde::Deserialize;
use torchmesh_runtime::process::StartError;
use torchmesh_token::Jwks;

use super::{IssuerSettings, KeysFrom};

/// One request takes no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// A key set, or what says where it is, has no more bytes.
const MOST_BYTES: usize = 1 << 20;
/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url { http: Client, url: Url },
    Discovery { http: Client, url: Url, issuer: String },
}

/// What OpenID Connect Discovery says, as far as we ask.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    /// Reads the certificates; nothing is asked yet.
    pub(super) fn new(settings: &IssuerSettings) -> Result<Self, StartError> {
        Ok(match &settings.keys {
            KeysFrom::File(path) => Self::File(path.clone()),
            KeysFrom::Url(url) => Self::Url { http: client(settings)?, url: url.clone() },
            KeysFrom::Discovery(url) => Self::Discovery { http: client(settings)?, url: url.clone(), issuer: settings.issuer.clone() },
        })
    }

    /// Reads the keys.
    pub(super) async fn read(&self) -> Result<Jwks, String> {
        let (text, from) = match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                (text, path.display().to_string())
            }
            Self::Url { http, url } => (get(http, url).await?, url.to_string()),
            Self::Discovery { http, url, issuer } => {
                let told: Discovered = serde_json::from_str(&get(http, url).await?).map_err(|error| format!("{url}: {error}"))?;
                // OpenID Connect Discovery, section 4.3: otherwise one issuer could speak for another.
                if told.issuer != *issuer {
                    return Err(format!("{url} is of the issuer {:?}, not {issuer:?}; write it as it does", told.issuer));
                }
                let keys = Url::parse(&told.jwks_uri).ok().filter(|keys| keys.scheme() == "https" || url.scheme() == "http");
                let keys = keys.ok_or_else(|| format!("{url}: jwks_uri is not an https:// address"))?;
                (get(http, &keys).await?, keys.to_string())
            }
        };
        Jwks::parse(&text).map_err(|why| format!("{from} {why}"))
    }

    /// When to read again: a file is looked at so often that nobody has to wait for it.
    pub(super) fn again_after(&self, refresh: Duration) -> Duration {
        if matches!(self, Self::File(_)) { refresh.min(LOOK_EVERY) } else { refresh }
    }
}

fn client(settings: &IssuerSettings) -> Result<Client, StartError> {
    // The first provider of the process stays; they are all the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("torchmesh/", env!("CARGO_PKG_VERSION"));
    // Keys are taken from where the operator says, and from nowhere that this points to.
    let mut builder = Client::builder().timeout(ANSWER_WITHIN).redirect(reqwest::redirect::Policy::none()).user_agent(agent);
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|error| format!("issuer.ca_file: {}: {error}", path.display()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem);
        builder = builder.tls_certs_only(certificates.map_err(|error| format!("issuer.ca_file: {}: {error}", path.display()))?);
    }
    Ok(builder.build()?)
}

async fn get(http: &Client, url: &Url) -> Result<String, String> {
    let failed = |error: reqwest::Error| format!("{url} cannot be read: {}", error.without_url());
    let mut answer = http.get(url.clone()).send().await.map_err(failed)?.error_for_status().map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("{url} answers with status {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(format!("{url} has more than 1 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| format!("{url} is not UTF-8"))
}
