//! Documents that all replicas agree on: one key each, changed by compare-and-set, with the versions that were.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Client, ConsulError,
    client::{ANSWER_WITHIN, Answer, Ask, Indexed},
    position::{Memory, Position},
};
use crate::agreed::Versioned;

/// The longest body of a transaction that Consul takes where `limits.txn_max_req_len` is its default, in bytes.
const LONGEST_TRANSACTION: usize = 512 << 10;
/// What a transaction says beside its values, with room for a long prefix.
const BESIDE_VALUES: usize = 4 << 10;

/// A document that is kept in its history too may have so many bytes: a transaction has it twice, each time in base64, which makes four bytes of three.
pub const MOST_BYTES: usize = (LONGEST_TRANSACTION - BESIDE_VALUES) / 2 / 4 * 3;

#[derive(Debug, Deserialize)]
struct Pair {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "ModifyIndex")]
    modify_index: u64,
    #[serde(rename = "Value")]
    value: Option<String>,
}

/// What Consul says of a transaction that it has done.
#[derive(Debug, Deserialize)]
struct Done {
    #[serde(rename = "Results")]
    _results: Vec<IgnoredAny>,
}

impl Client {
    fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.settings().prefix)
    }

    /// The document at `path`.
    pub async fn document(&self, path: &str) -> Result<Option<Versioned>, ConsulError> {
        let ask = Ask::get(format!("/v1/kv/{}", self.key(path))).with("consistent", "");
        let answer = self.send(ask, ANSWER_WITHIN).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.json::<Vec<Pair>>()?.first().map(read).transpose()
    }

    /// The document at `path` after `index`, which Consul may also answer without a change.
    async fn changed(&self, path: &str, index: u64) -> Result<Indexed<Option<Versioned>>, ConsulError> {
        let Indexed { index, value } = self.changes::<Vec<Pair>>(Ask::get(format!("/v1/kv/{}", self.key(path))), index).await?;
        let pair = value.as_ref().and_then(|pairs| pairs.first());
        Ok(Indexed { index, value: pair.map(read).transpose()? })
    }

    /// The documents below `folder`, with the last part of their paths.
    pub async fn documents(&self, folder: &str) -> Result<Vec<(String, Versioned)>, ConsulError> {
        let folder = format!("{}/", self.key(folder));
        let answer = self.send(Ask::get(format!("/v1/kv/{folder}")).with("recurse", "").with("consistent", ""), ANSWER_WITHIN).await?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let named = |pair: &Pair| Ok((pair.key.strip_prefix(&folder).unwrap_or(&pair.key).to_owned(), read(pair)?));
        answer.json::<Vec<Pair>>()?.iter().map(named).collect()
    }

    /// Puts `text` in the place of `version` (0: where there is no document), and keeps a copy at `history`. False: somebody was faster, and nothing has changed.
    ///
    /// Errors: among others [`ConsulError::TooLarge`], of a `text` with a history that has more than [`MOST_BYTES`].
    pub async fn swap(&self, path: &str, version: u64, text: &str, history: Option<&str>) -> Result<bool, ConsulError> {
        let value = STANDARD.encode(text);
        let mut operations = vec![self.operation(json!({ "Verb": "cas", "Key": self.key(path), "Index": version, "Value": value }))];
        if let Some(history) = history {
            operations.push(self.operation(json!({ "Verb": "set", "Key": self.key(history), "Value": value })));
        }
        let body = Value::from(operations).to_string().into_bytes();
        if body.len() > LONGEST_TRANSACTION {
            return Err(ConsulError::TooLarge { path: path.to_owned(), bytes: text.len() });
        }
        let answer = self.send(Ask::put("/v1/txn", body), ANSWER_WITHIN).await?;
        match answer.status {
            // A right that the token lacks is said of its operation, as a conflict is.
            409 if answer.says("permission denied") => Err(answer.denied()),
            // A transaction that was rolled back is a conflict: the first of its operations is the only one that can fail.
            409 => Ok(false),
            _ => answer.json::<Done>().map(|_| true),
        }
    }

    /// One operation on a key. A transaction has a namespace for each of them, and none for all.
    fn operation(&self, mut kv: Value) -> Value {
        if let Some(namespace) = &self.settings().namespace {
            kv["Namespace"] = json!(namespace);
        }
        json!({ "KV": kv })
    }

    /// Removes the document at `path`, whatever its version is.
    pub async fn remove(&self, path: &str) -> Result<(), ConsulError> {
        self.ask(Ask::delete(format!("/v1/kv/{}", self.key(path)))).await.map(drop)
    }

    /// Whether the key is held by the session from now on.
    pub(super) async fn acquire(&self, path: &str, session: &str, value: &str) -> Result<bool, ConsulError> {
        let ask = Ask::put(format!("/v1/kv/{}", self.key(path)), value.as_bytes().to_vec()).with("acquire", session);
        self.ask(ask).await.and_then(|answer: Answer| answer.json())
    }
}

/// One document over time.
#[derive(Debug)]
pub struct Followed {
    client: Client,
    path: String,
    position: Position,
    /// What was given last, once something was.
    last: Option<Versioned>,
    given: bool,
}

impl Followed {
    /// Nothing is asked yet.
    pub fn new(client: Client, path: String) -> Self {
        Self { client, path, position: Position::default(), last: None, given: false }
    }

    /// The document once it is different from what was given last; at first, as it is. Waits for as long as Consul is away. A Consul that has forgotten everything has
    /// forgotten this document too: what was given last stays then, and is written back.
    pub async fn next(&mut self) -> Option<Versioned> {
        loop {
            match self.client.changed(&self.path, self.position.index()).await {
                Ok(Indexed { index, value }) => {
                    let lost = self.position.answered(index) == Memory::Lost && value.is_none();
                    if let Some(kept) = self.last.as_ref().filter(|_| lost) {
                        self.write_back(&kept.text).await;
                    } else if !self.given || self.last != value {
                        (self.given, self.last) = (true, value.clone());
                        return value;
                    }
                }
                Err(error) => {
                    self.position.failed();
                    if self.position.has_just_failed() {
                        tracing::warn!(path = self.path, %error, "a document cannot be read; what was read last stays in use");
                    }
                }
            }
            sleep(self.position.pause(fastrand::f64())).await;
        }
    }

    /// Where there is still none: of several who remember, the first one writes.
    async fn write_back(&self, text: &str) {
        match self.client.swap(&self.path, 0, text, None).await {
            Ok(written) => tracing::warn!(path = self.path, written, "Consul had forgotten a document, which is given back to it"),
            Err(error) => tracing::warn!(path = self.path, %error, "Consul has forgotten a document, which cannot be given back to it"),
        }
    }
}

/// The version is Consul's `ModifyIndex`, which is greater with each change.
fn read(pair: &Pair) -> Result<Versioned, ConsulError> {
    let garbage = |why: &str| ConsulError::Garbage { what: format!("the key {}", pair.key), why: why.to_owned() };
    let bytes = STANDARD.decode(pair.value.as_deref().unwrap_or_default()).map_err(|_| garbage("its value is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| garbage("its value is not UTF-8"))?;
    Ok(Versioned { version: pair.modify_index, text })
}
