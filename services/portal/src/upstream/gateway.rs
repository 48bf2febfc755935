//! The gateway, by HTTP.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;
use torchmesh_runtime::process::StartError;

use super::token_in;
use crate::{
    config::PortalConfig,
    fail::{Answer, Fail},
};

/// How long the catalogue is remembered: it is the same for everybody.
const REMEMBERED: Duration = Duration::from_secs(3);

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The model.
    pub name: String,
    /// The version.
    pub version: String,
    /// `READY`, or what it is instead.
    pub state: String,
}

/// What goes into a model, or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Such as `FP32`.
    pub datatype: String,
    /// Sizes; -1 is any.
    pub shape: Vec<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What it is for: `embed`, `generate` …
    pub task: String,
    /// Every version and its state.
    pub versions: Vec<Listed>,
    /// What goes in.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
}

impl Described {
    /// Whether a version of it can be called.
    pub fn is_ready(&self) -> bool {
        self.versions.iter().any(|version| version.state == "READY")
    }
}

type Remembered = Option<(Instant, Arc<Vec<Described>>)>;

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    http: Client,
    base: Url,
    key_file: Option<PathBuf>,
    timeout: Duration,
    remembered: Mutex<Remembered>,
}

impl Gateway {
    /// Nobody is asked yet.
    pub fn new(config: &PortalConfig) -> Result<Self, StartError> {
        // The first provider of the process stays; they are all the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("torchmesh-portal/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base = Url::parse(&config.gateway.address)?;
        Ok(Self { http, base, key_file: config.gateway.key_file.clone(), timeout: config.timeout, remembered: Mutex::default() })
    }

    /// A request whose path has these parts, each as it is.
    pub fn request(&self, method: Method, parts: &[&str], key: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        self.http.request(method, url).bearer_auth(key)
    }

    /// Every model, by name; none, where the portal has no key to ask with.
    pub async fn catalogue(&self) -> Answer<Arc<Vec<Described>>> {
        if let Some((asked, models)) = &*self.remembered.lock()
            && asked.elapsed() < REMEMBERED
        {
            return Ok(Arc::clone(models));
        }
        let Some(file) = &self.key_file else { return Ok(Arc::default()) };
        let models = Arc::new(self.read(&token_in(file)?).await?);
        *self.remembered.lock() = Some((Instant::now(), Arc::clone(&models)));
        Ok(models)
    }

    /// However many there are, they are asked for within one timeout.
    async fn read(&self, key: &str) -> Answer<Vec<Described>> {
        let until = Instant::now() + self.timeout;
        let index = self.json(self.request(Method::POST, &["v2", "repository", "index"], key), until).await?;
        let mut listed: Vec<_> = index.as_array().into_iter().flatten().filter_map(read_listed).collect();
        listed.sort_by(|a, b| (&a.name, natural(&a.version)).cmp(&(&b.name, natural(&b.version))));
        let mut models: Vec<Described> = Vec::new();
        for version in listed {
            if let Some(model) = models.last_mut().filter(|model| model.name == version.name) {
                model.versions.push(version);
                continue;
            }
            let metadata = self.json(self.request(Method::GET, &["v2", "models", &version.name], key), until).await;
            // One that has gone since, is not ready, or comes too late, is listed without what it takes.
            models.push(describe(version, &metadata.unwrap_or_default()));
        }
        Ok(models)
    }

    async fn json(&self, request: RequestBuilder, until: Instant) -> Answer<Value> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Fail::away());
        }
        let answer = request.timeout(left).send().await.map_err(|error| unreachable(&error))?;
        if !answer.status().is_success() {
            tracing::warn!(status = answer.status().as_u16(), "the gateway refused the portal's key");
            return Err(Fail::away());
        }
        let bytes = answer.bytes().await.map_err(|error| unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|_| Fail::away())
    }
}

/// What is said of a gateway that does not answer, for the log alone.
pub(crate) fn unreachable(error: &reqwest::Error) -> Fail {
    tracing::warn!(%error, "the gateway does not answer");
    Fail::away()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_listed(value: &Value) -> Option<Listed> {
    let name = value["name"].as_str()?.to_owned();
    Some(Listed { name, version: text(&value["version"]), state: value["state"].as_str().unwrap_or("READY").to_owned() })
}

fn describe(version: Listed, metadata: &Value) -> Described {
    let task = text(&metadata["properties"]["task"]);
    let tensors = |key: &str| metadata[key].as_array().into_iter().flatten().map(read_tensor).collect();
    Described { name: version.name.clone(), task, inputs: tensors("inputs"), outputs: tensors("outputs"), versions: vec![version] }
}

fn read_tensor(value: &Value) -> Tensor {
    let sizes = value["shape"].as_array().into_iter().flatten();
    // 64-bit numbers may come as texts.
    let shape = sizes.map(|size| size.as_str().map_or_else(|| size.to_string(), str::to_owned)).collect();
    Tensor { name: text(&value["name"]), datatype: text(&value["datatype"]), shape }
}

/// Versions are numbers, as a rule: 10 comes after 9.
fn natural(version: &str) -> (u64, &str) {
    (version.parse().unwrap_or(u64::MAX), version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_model_is_read_whichever_way_numbers_are_written() {
        let metadata = json!({ "properties": { "task": "tensor" }, "inputs": [{ "name": "x", "datatype": "FP32", "shape": ["-1", 3] }] });
        let listed = read_listed(&json!({ "name": "m", "version": "1", "state": "READY" })).unwrap();
        let model = describe(listed, &metadata);
        assert_eq!((model.task.as_str(), model.inputs[0].shape.clone(), model.is_ready()), ("tensor", vec!["-1".into(), "3".into()], true));
        assert!(model.outputs.is_empty());
    }

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let mut versions = ["10", "9", "x"];
        versions.sort_by(|a, b| natural(a).cmp(&natural(b)));
        assert_eq!(versions, ["9", "10", "x"]);
    }
}
