//! A watch: what changes, told by the API server a line each.

use std::marker::PhantomData;

use reqwest::Response;
use serde::Deserialize;

use super::{
    KubernetesError,
    client::{Client, bounded},
    objects::{Metadata, Object, Status},
};

/// A watch that is open.
pub(super) struct Changes<T> {
    response: Response,
    pending: Vec<u8>,
    client: Client,
    of: PhantomData<fn() -> T>,
}

/// One change.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// An object is new, or not as it was.
    Put(T),
    /// An object is no more.
    Removed(T),
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

/// The object of a bookmark has metadata only.
#[derive(Debug, Deserialize)]
struct Mark {
    metadata: Metadata,
}

impl<T: Object> Changes<T> {
    pub(super) fn new(response: Response, client: Client) -> Self {
        Self { response, pending: Vec::new(), client, of: PhantomData }
    }

    /// The next change; none at the end of the watch.
    pub(super) async fn next(&mut self) -> Result<Option<Change<T>>, KubernetesError> {
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
                None if self.pending.trim_ascii().is_empty() => return Ok(None),
                None => return Err(KubernetesError::Garbage { why: "a watch ends in the middle of an event".to_owned() }),
            }
            bounded(self.pending.len())?;
        }
    }
}

fn change<T: Object>(line: &[u8]) -> Result<Change<T>, KubernetesError> {
    let garbage = |error: serde_json::Error| KubernetesError::Garbage { why: error.to_string() };
    let event: Event<'_> = serde_json::from_slice(line).map_err(garbage)?;
    let object = event.object.get();
    match event.kind {
        "ADDED" | "MODIFIED" => serde_json::from_str(object).map(Change::Put).map_err(garbage),
        "DELETED" => serde_json::from_str(object).map(Change::Removed).map_err(garbage),
        "BOOKMARK" => serde_json::from_str(object).map(|mark: Mark| Change::Bookmark(mark.metadata.resource_version)).map_err(garbage),
        "ERROR" => {
            let Status { code, reason, message } = serde_json::from_str(object).map_err(garbage)?;
            Err(if code == 410 { KubernetesError::Gone } else { KubernetesError::Failed { status: code, reason, why: message } })
        }
        other => Err(KubernetesError::Garbage { why: format!("an event of the kind {other:?}") }),
    }
}
