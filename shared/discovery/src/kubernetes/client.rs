//! The two questions that the API server is asked: what there is, and what changes from then on.

use std::{path::PathBuf, time::Duration};

use reqwest::{Response, Url, header::HeaderValue};
use serde::Deserialize;
use thiserror::Error;

use super::{
    KubernetesSettings,
    slices::{Metadata, Slice},
};
use crate::causes;

/// A connection is made, and a question that is not left open answered, within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An answer, or one change, may have so many bytes: a thousand slices of a hundred pods each have about 40 MB.
const MOST_BYTES: usize = 64 << 20;

/// Why the API server did not say what it was asked.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// There is no cluster around this process.
    #[error("discovery.kubernetes: {what} is not known here, where no pod's environment is; set discovery.kubernetes.{setting}")]
    Outside {
        /// What is missing.
        what: &'static str,
        /// Where to give it.
        setting: &'static str,
    },
    /// No answer.
    #[error("the API server cannot be reached at {address}: {why}")]
    Unreachable {
        /// Its address.
        address: String,
        /// The error, with what is behind it.
        why: String,
    },
    /// 401 or 403.
    #[error(
        "the API server refuses (status {status}): {why}; the service account needs the verbs list and watch for endpointslices \
         (apiGroup discovery.k8s.io) in the namespace"
    )]
    Denied {
        /// HTTP's.
        status: u16,
        /// What it says.
        why: String,
    },
    /// What changed since then is no longer known (410): ask for what there is.
    #[error("the API server no longer knows what has changed since")]
    Gone,
    /// Any other status that is not 200.
    #[error("the API server answers with status {status}: {why}")]
    Failed {
        /// HTTP's.
        status: u16,
        /// What it says.
        why: String,
    },
    /// An answer that is not Kubernetes'.
    #[error("what answers is not a Kubernetes API server: {why}; check discovery.kubernetes.address")]
    Garbage {
        /// What was wrong with it.
        why: String,
    },
    /// A file of the settings.
    #[error("discovery.kubernetes.{setting}: {}: {why}", path.display())]
    File {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

/// `EndpointSliceList`.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) metadata: Metadata,
    pub(super) items: Vec<Slice>,
}

/// A client of one API server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    pub(super) settings: std::sync::Arc<KubernetesSettings>,
}

impl Client {
    /// Reads the certificates and the pod's environment; nothing is asked yet.
    pub(super) fn new(settings: &KubernetesSettings) -> Result<Self, KubernetesError> {
        let address = settings.address.clone().or_else(of_pod);
        let address = address.ok_or(KubernetesError::Outside { what: "the API server's address", setting: "address" })?;
        // A pod finds its namespace beside its token.
        let beside = settings.token_file.with_file_name("namespace");
        let namespace = settings.namespace.clone().or_else(|| Some(std::fs::read_to_string(beside).ok()?.trim().to_owned()));
        let namespace = namespace.ok_or(KubernetesError::Outside { what: "the namespace", setting: "namespace" })?;
        let unusable = |why: String| KubernetesError::Unreachable { address: address.clone(), why };
        let mut base = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
        base.set_path(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"));
        let http = builder(settings, base.scheme() == "https")?.build().map_err(|error| unusable(causes(&error)))?;
        Ok(Self { http, base, settings: std::sync::Arc::new(settings.clone()) })
    }

    /// The slices of a Service.
    pub(super) async fn list(&self, service: &str) -> Result<List, KubernetesError> {
        let mut response = self.ask(service, &[], ANSWER_WITHIN).await?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&part);
            bounded(body.len())?;
        }
        serde_json::from_slice(&body).map_err(|error| KubernetesError::Garbage { why: error.to_string() })
    }

    /// What changes from `version` on, for as long as `discovery.kubernetes.wait`.
    pub(super) async fn changes(&self, service: &str, version: &str) -> Result<Changes, KubernetesError> {
        let wait = self.settings.wait;
        let seconds = wait.as_secs().to_string();
        let query = [("watch", "1"), ("allowWatchBookmarks", "true"), ("resourceVersion", version), ("timeoutSeconds", seconds.as_str())];
        // The server ends a watch itself; one that is not ended is a connection of which only this end is left.
        let response = self.ask(service, &query, wait + ANSWER_WITHIN).await?;
        Ok(Changes { response, pending: Vec::new(), client: self.clone() })
    }

    async fn ask(&self, service: &str, query: &[(&str, &str)], within: Duration) -> Result<Response, KubernetesError> {
        let mut url = self.base.clone();
        let selector = format!("kubernetes.io/service-name={service}");
        url.query_pairs_mut().append_pair("labelSelector", &selector).extend_pairs(query);
        let request = self.http.get(url).timeout(within).header("accept", "application/json").header("authorization", self.token().await?);
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let start = response.chunk().await.ok().flatten().unwrap_or_default();
        let why = said(&start);
        Err(match status {
            401 | 403 => KubernetesError::Denied { status, why },
            410 => KubernetesError::Gone,
            _ => KubernetesError::Failed { status, why },
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> KubernetesError {
        KubernetesError::Unreachable { address: self.base.origin().ascii_serialization(), why: causes(error) }
    }

    async fn token(&self) -> Result<HeaderValue, KubernetesError> {
        let path = &self.settings.token_file;
        let wrong = |why: String| KubernetesError::File { setting: "token_file", path: path.clone(), why };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim())).map_err(|_| wrong("is not a token".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// What a pod is told of its API server.
fn of_pod() -> Option<String> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").ok()?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(format!("https://{host}:{port}"))
}

fn builder(settings: &KubernetesSettings, encrypted: bool) -> Result<reqwest::ClientBuilder, KubernetesError> {
    // The first provider of the process stays; they are all the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(ANSWER_WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("torchmesh/", env!("CARGO_PKG_VERSION")));
    if !encrypted {
        return Ok(builder);
    }
    let path = &settings.ca_file;
    let wrong = |why: String| KubernetesError::File { setting: "ca_file", path: path.clone(), why };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| wrong(causes(&error)))?;
    Ok(builder.tls_certs_only(certificates))
}

/// A watch: changes as they come, a line each.
pub(super) struct Changes {
    response: Response,
    pending: Vec<u8>,
    client: Client,
}

/// One change.
#[derive(Debug)]
pub(super) enum Change {
    /// A slice is new, or not as it was.
    Put(Slice),
    /// A slice is no more.
    Removed(Slice),
    /// Nothing, up to this version.
    Bookmark(String),
}

/// `WatchEvent`.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

/// `Status`, which an event of the kind ERROR has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

/// The object of a bookmark has metadata only.
#[derive(Debug, Deserialize)]
struct Mark {
    metadata: Metadata,
}

impl Changes {
    /// The next change and the version that it leads to; none at the end of the watch.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, KubernetesError> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let line = std::mem::replace(&mut self.pending, rest);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return change(&line).map(Some);
            }
            match self.response.chunk().await.map_err(|error| self.client.unreachable(&error))? {
                Some(part) => self.pending.extend_from_slice(&part),
                None => return Ok(None),
            }
            bounded(self.pending.len())?;
        }
    }
}

fn change(line: &[u8]) -> Result<Change, KubernetesError> {
    let garbage = |error: serde_json::Error| KubernetesError::Garbage { why: error.to_string() };
    let event: Event<'_> = serde_json::from_slice(line).map_err(garbage)?;
    let object = event.object.get();
    match event.kind {
        "ADDED" | "MODIFIED" => serde_json::from_str(object).map(Change::Put).map_err(garbage),
        "DELETED" => serde_json::from_str(object).map(Change::Removed).map_err(garbage),
        "BOOKMARK" => serde_json::from_str(object).map(|mark: Mark| Change::Bookmark(mark.metadata.resource_version)).map_err(garbage),
        "ERROR" => {
            let Status { code, message } = serde_json::from_str(object).map_err(garbage)?;
            Err(if code == 410 { KubernetesError::Gone } else { KubernetesError::Failed { status: code, why: message } })
        }
        other => Err(KubernetesError::Garbage { why: format!("an event of the kind {other:?}") }),
    }
}

fn bounded(bytes: usize) -> Result<(), KubernetesError> {
    if bytes > MOST_BYTES { Err(KubernetesError::Garbage { why: format!("an answer has more than {MOST_BYTES} bytes") }) } else { Ok(()) }
}

/// What the server says, short enough for a log.
fn said(body: &[u8]) -> String {
    let status = serde_json::from_slice::<Status>(body).map(|status| status.message);
    let text = status.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
