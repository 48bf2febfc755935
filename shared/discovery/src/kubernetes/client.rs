//! The few questions that the API server is asked: what there is, what changes from then on, and to keep what it is given where nobody was faster.

use std::time::Duration;

use reqwest::{Method, Response, Url, header::HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    KubernetesError, KubernetesSettings,
    changes::Changes,
    objects::{Kind, List, Object, Selected, Status, name},
};
use crate::causes;

/// A connection is made, and a question that is not left open answered, within this.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that says nothing for so long is asked whether it still is one: a watch is silent while nothing changes, and one whose other end is gone must not pass for it.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// And is none when it says nothing to that for so long.
const PROBED_FOR: Duration = Duration::from_secs(5);
/// An answer, or one change, may have so many bytes: a thousand slices of a hundred pods each have about 40 MB.
const MOST_BYTES: usize = 64 << 20;
/// Of a refusal only its reason is read.
const MOST_OF_REFUSAL: usize = 64 << 10;

/// A client of one API server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    pub(super) namespace: String,
    pub(super) settings: std::sync::Arc<KubernetesSettings>,
}

/// A question before it is asked.
struct Ask<'a> {
    /// As a Role names it.
    verb: &'static str,
    kind: &'static Kind,
    /// Which object; none: all of the namespace, or a new one.
    name: Option<&'a str>,
    query: Vec<(&'a str, &'a str)>,
    body: Option<&'a Value>,
    within: Duration,
}

impl<'a> Ask<'a> {
    fn new(verb: &'static str, kind: &'static Kind) -> Self {
        Self { verb, kind, name: None, query: Vec::new(), body: None, within: ANSWER_WITHIN }
    }

    fn of(verb: &'static str, selected: &'a Selected) -> Self {
        Self { query: vec![(selected.by, &selected.selector)], ..Self::new(verb, selected.kind) }
    }

    fn method(&self) -> Method {
        match self.verb {
            "create" => Method::POST,
            "update" => Method::PUT,
            _ => Method::GET,
        }
    }
}

impl Client {
    /// Reads the certificates and the pod's environment; nothing is asked yet.
    pub fn new(settings: &KubernetesSettings) -> Result<Self, KubernetesError> {
        let address = settings.address.clone().or_else(of_pod);
        let address = address.ok_or(KubernetesError::Outside { what: "the API server's address", setting: "address" })?;
        // A pod finds its namespace beside its token.
        let beside = settings.token_file.with_file_name("namespace");
        let namespace = settings.namespace.clone().or_else(|| Some(std::fs::read_to_string(beside).ok()?.trim().to_owned()));
        let namespace = namespace.ok_or(KubernetesError::Outside { what: "the namespace", setting: "namespace" })?;
        let unusable = |why: String| KubernetesError::Unreachable { address: address.clone(), why };
        let base = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
        let http = builder(settings, base.scheme() == "https")?.build().map_err(|error| unusable(causes(&error)))?;
        Ok(Self { http, base, namespace, settings: std::sync::Arc::new(settings.clone()) })
    }

    /// What an object of ours at `path` is called.
    pub(super) fn name(&self, path: &str) -> String {
        name(&self.settings.prefix, path)
    }

    /// What there is.
    pub(super) async fn list<T: Object>(&self, selected: &Selected) -> Result<List<T>, KubernetesError> {
        let response = self.send(Ask::of("list", selected)).await?;
        self.read(response).await
    }

    /// What changes from `version` on, for as long as `discovery.kubernetes.wait`.
    pub(super) async fn changes<T: Object>(&self, selected: &Selected, version: &str) -> Result<Changes<T>, KubernetesError> {
        let wait = self.settings.wait;
        let seconds = wait.as_secs().to_string();
        let mut ask = Ask::of("watch", selected);
        ask.query.extend([
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", seconds.as_str()),
        ]);
        // The server ends a watch itself; one that is not ended is a connection of which only this end is left.
        ask.within = wait + ANSWER_WITHIN;
        Ok(Changes::new(self.send(ask).await?, self.clone()))
    }

    /// One object as it is.
    pub(super) async fn get<T: Object>(&self, kind: &'static Kind, name: &str, within: Duration) -> Result<Option<T>, KubernetesError> {
        match self.send(Ask { name: Some(name), within, ..Ask::new("get", kind) }).await {
            Ok(response) => self.read(response).await.map(Some),
            Err(KubernetesError::Failed { reason, .. }) if reason == "NotFound" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts an object in the place of the one that has the `resourceVersion` in it, or without one where there is none. False: somebody was faster, and nothing has changed.
    pub(super) async fn put(&self, kind: &'static Kind, object: &Value, within: Duration) -> Result<bool, KubernetesError> {
        let metadata = &object["metadata"];
        let ask = if metadata.get("resourceVersion").is_some() {
            Ask { name: metadata["name"].as_str(), ..Ask::new("update", kind) }
        } else {
            Ask::new("create", kind)
        };
        match self.send(Ask { body: Some(object), within, ..ask }).await {
            Ok(_) => Ok(true),
            // What is not found was there, and has been removed.
            Err(KubernetesError::Failed { reason, .. }) if matches!(reason.as_str(), "Conflict" | "AlreadyExists" | "NotFound") => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn send(&self, ask: Ask<'_>) -> Result<Response, KubernetesError> {
        let mut url = self.base.clone();
        let all = ask.kind.path(&self.namespace);
        url.set_path(&ask.name.map_or_else(|| all.clone(), |name| format!("{all}/{name}")));
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let request = self.http.request(ask.method(), url).timeout(ask.within);
        let request = request.header("accept", "application/json").header("authorization", self.token().await?);
        let request = match ask.body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if matches!(response.status().as_u16(), 200 | 201) { Ok(response) } else { Err(self.refusal(response, &ask).await) }
    }

    async fn refusal(&self, mut response: Response, ask: &Ask<'_>) -> KubernetesError {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Ok(Some(part)) = response.chunk().await {
            body.extend_from_slice(&part);
            if body.len() > MOST_OF_REFUSAL {
                break;
            }
        }
        let (reason, why) = said(&body);
        match status {
            401 | 403 => {
                let (verb, resource, namespace) = (ask.verb, ask.kind.to_string(), self.namespace.clone());
                KubernetesError::Denied { status, why, verb, resource, namespace }
            }
            410 => KubernetesError::Gone,
            _ => KubernetesError::Failed { status, reason, why },
        }
    }

    async fn read<T: DeserializeOwned>(&self, mut response: Response) -> Result<T, KubernetesError> {
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&part);
            bounded(body.len())?;
        }
        serde_json::from_slice(&body).map_err(|error| KubernetesError::Garbage { why: error.to_string() })
    }

    pub(super) fn unreachable(&self, error: &reqwest::Error) -> KubernetesError {
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
        .http2_keep_alive_interval(SILENT_FOR)
        .http2_keep_alive_timeout(PROBED_FOR)
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

pub(super) fn bounded(bytes: usize) -> Result<(), KubernetesError> {
    if bytes > MOST_BYTES { Err(KubernetesError::Garbage { why: format!("an answer has more than {MOST_BYTES} bytes") }) } else { Ok(()) }
}

/// The server's word for what is wrong, and what it says of it, short enough for a log.
fn said(body: &[u8]) -> (String, String) {
    let (reason, text) = match serde_json::from_slice::<Status>(body) {
        Ok(status) => (status.reason, status.message),
        Err(_) => (String::new(), String::from_utf8_lossy(body).into_owned()),
    };
    let short = |text: &str| text.trim().chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    (short(&reason), short(&text))
}
