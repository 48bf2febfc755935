//! Consul's HTTP API: one request, one answer, and errors that say what to change.

use std::{path::PathBuf, time::Duration};

use reqwest::{Method, Url, header::HeaderValue};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::ConsulSettings;
use crate::causes;

/// A question that is not left open is answered within this, or not at all.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// An answer may have so many bytes: ten thousand instances have about 10 MB.
const MOST_BYTES: usize = 64 << 20;

/// Why Consul did not do what it was asked.
#[derive(Debug, Error)]
pub enum ConsulError {
    /// No answer.
    #[error("Consul cannot be reached at {address}: {why}")]
    Unreachable {
        /// `discovery.consul.address`.
        address: String,
        /// The error, with what is behind it.
        why: String,
    },
    /// 401 or 403.
    #[error("Consul refuses {what} (status {status}): {why}; give the token in discovery.consul.token_file the right to it")]
    Denied {
        /// Method and path.
        what: String,
        /// HTTP's.
        status: u16,
        /// What Consul says.
        why: String,
    },
    /// Any other status that is not 200.
    #[error("Consul answers {what} with status {status}: {why}")]
    Failed {
        /// Method and path.
        what: String,
        /// HTTP's.
        status: u16,
        /// What Consul says.
        why: String,
    },
    /// An answer that is not Consul's.
    #[error("what answers {what} is not Consul: {why}; check discovery.consul.address")]
    Garbage {
        /// Method and path.
        what: String,
        /// What was wrong with it.
        why: String,
    },
    /// More than Consul takes at once.
    #[error(
        "the document {path} has {bytes} bytes, which is more than Consul takes in one transaction (512 KiB in base64, a document's history included): make it shorter"
    )]
    TooLarge {
        /// The document's.
        path: String,
        /// How many it has.
        bytes: usize,
    },
    /// Nobody could reach the instance.
    #[error("this process listens at {listens}, where others cannot reach it; set discovery.consul.advertise to its address")]
    Nowhere {
        /// Where it listens.
        listens: std::net::SocketAddr,
    },
    /// A file of the settings.
    #[error("discovery.consul.{setting}: {}: {why}", path.display())]
    File {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

/// A client of one agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    settings: std::sync::Arc<ConsulSettings>,
}

/// What was asked for, and the index of the state that it is of: to be given with the next question, which then waits for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed<T> {
    /// `X-Consul-Index`.
    pub index: u64,
    /// The answer.
    pub value: T,
}

/// A request before it is sent.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'a str, String)>,
    pub(super) body: Vec<u8>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), body: Vec::new() }
    }

    pub(super) fn put(path: impl Into<String>, body: Vec<u8>) -> Self {
        Self { method: Method::PUT, path: path.into(), query: Vec::new(), body }
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), query: Vec::new(), body: Vec::new() }
    }

    pub(super) fn with(mut self, key: &'a str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) index: Option<u64>,
    pub(super) body: Vec<u8>,
    what: String,
}

impl Client {
    /// Reads the certificates; nothing is asked yet.
    pub fn new(settings: &ConsulSettings) -> Result<Self, ConsulError> {
        // The first provider of the process stays; they are all the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(ANSWER_WITHIN)
            // The address is the operator's; what it points to elsewhere is not, and would get the token.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("torchmesh/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let wrong = |error: reqwest::Error| wrong_file("ca_file", path, &error);
            let certificates = reqwest::Certificate::from_pem_bundle(&read("ca_file", path)?).map_err(wrong)?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some((cert, key)) = &settings.identity {
            let both = [read("cert_file", cert)?, read("key_file", key)?].concat();
            builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(|error| wrong_file("cert_file", cert, &error))?);
        }
        let unusable = |why: String| ConsulError::Unreachable { address: settings.address.clone(), why };
        let http = builder.build().map_err(|error| unusable(causes(&error)))?;
        let base = Url::parse(&settings.address).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { http, base, settings: std::sync::Arc::new(settings.clone()) })
    }

    /// What it was made with.
    pub fn settings(&self) -> &ConsulSettings {
        &self.settings
    }

    /// Asks for what changed after `index` (0: for what there is), for as long as `discovery.consul.wait`. `Ok(None)`: there is no such thing (404).
    pub(super) async fn changes<T: DeserializeOwned>(&self, ask: Ask<'_>, index: u64) -> Result<Indexed<Option<T>>, ConsulError> {
        let wait = self.settings.wait;
        let ask = ask.with("index", index.to_string()).with("wait", format!("{}s", wait.as_secs()));
        // Consul adds up to a sixteenth of the wait, so that not all questions end at once.
        let answer = self.send(ask, wait + wait / 16 + ANSWER_WITHIN).await?;
        let value = if answer.status == 404 { None } else { Some(answer.json()?) };
        let index = answer.index.ok_or_else(|| answer.garbage("it has no X-Consul-Index"))?;
        Ok(Indexed { index, value })
    }

    /// Asks, and takes 200 for an answer.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, ConsulError> {
        self.send(ask, ANSWER_WITHIN).await?.ok()
    }

    /// Asks, and takes every answer but a refusal of access.
    pub(super) async fn send(&self, ask: Ask<'_>, within: Duration) -> Result<Answer, ConsulError> {
        let what = format!("{} {}", ask.method, ask.path);
        let request = self.http.request(ask.method, self.url(&ask.path, &ask.query)).timeout(within);
        let request = match self.token().await? {
            Some(token) => request.header("x-consul-token", token),
            None => request,
        };
        let unreachable = |error: reqwest::Error| ConsulError::Unreachable { address: self.settings.address.clone(), why: causes(&error) };
        let mut response = request.body(ask.body).send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let index = response.headers().get("x-consul-index").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&part);
            if body.len() > MOST_BYTES {
                return Err(ConsulError::Garbage { what, why: format!("the answer has more than {MOST_BYTES} bytes") });
            }
        }
        let answer = Answer { status, index, body, what };
        if matches!(status, 401 | 403) { Err(answer.denied()) } else { Ok(answer) }
    }

    fn url(&self, path: &str, query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        let mut pairs = url.query_pairs_mut();
        pairs.extend_pairs(query);
        let settings = &self.settings;
        for (key, value) in [("ns", &settings.namespace), ("dc", &settings.datacenter)] {
            if let Some(value) = value {
                pairs.append_pair(key, value);
            }
        }
        drop(pairs);
        if url.query() == Some("") {
            url.set_query(None);
        }
        url
    }

    async fn token(&self) -> Result<Option<HeaderValue>, ConsulError> {
        let Some(path) = &self.settings.token_file else { return Ok(None) };
        let wrong = |why: String| ConsulError::File { setting: "token_file", path: path.clone(), why };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(error.to_string()))?;
        let mut value = HeaderValue::try_from(text.trim()).map_err(|_| wrong("is not a token".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Answer {
    /// What Consul says, short enough for a log.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }

    /// Whether Consul's words have this one among them, in whatever case.
    pub(super) fn says(&self, word: &str) -> bool {
        self.text().to_lowercase().contains(word)
    }

    /// The refusal that it is.
    pub(super) fn denied(self) -> ConsulError {
        ConsulError::Denied { why: self.text(), status: self.status, what: self.what }
    }

    pub(super) fn garbage(&self, why: &str) -> ConsulError {
        ConsulError::Garbage { what: self.what.clone(), why: why.to_owned() }
    }

    /// The answer if its status is 200.
    pub(super) fn ok(self) -> Result<Self, ConsulError> {
        if self.status == 200 {
            return Ok(self);
        }
        Err(ConsulError::Failed { why: self.text(), status: self.status, what: self.what })
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ConsulError> {
        if self.status != 200 {
            return Err(ConsulError::Failed { why: self.text(), status: self.status, what: self.what.clone() });
        }
        serde_json::from_slice(&self.body).map_err(|error| self.garbage(&error.to_string()))
    }
}

fn read(setting: &'static str, path: &std::path::Path) -> Result<Vec<u8>, ConsulError> {
    std::fs::read(path).map_err(|error| ConsulError::File { setting, path: path.to_owned(), why: error.to_string() })
}

fn wrong_file(setting: &'static str, path: &std::path::Path, error: &reqwest::Error) -> ConsulError {
    ConsulError::File { setting, path: path.to_owned(), why: causes(error) }
}
