//! What a gateway has written down of calls, as a reader of its files finds it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{eventually, places, sandbox::Builder};

/// How long events may take to be shipped.
const PATIENCE: Duration = Duration::from_secs(20);

/// The folder of one gateway's meter, which outlives the gateway.
#[derive(Debug)]
pub struct Ledger(TempDir);

impl Default for Ledger {
    fn default() -> Self {
        Self(TempDir::new().expect("a folder"))
    }
}

impl Ledger {
    /// Has a mesh's gateway write here.
    pub fn of(&self, mesh: Builder) -> Builder {
        mesh.set("gateway", "metering.folder", &self.folder().display().to_string())
    }

    /// Where it writes.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The usage lines so far, those of one id once.
    pub fn lines(&self) -> Vec<Value> {
        lines_of(self.folder())
    }

    /// Waits for a line of each of these requests, and gives all lines.
    pub async fn has(&self, requests: impl IntoIterator<Item = String>) -> Vec<Value> {
        let wanted: Vec<String> = requests.into_iter().collect();
        eventually("every answered call has a usage line", PATIENCE, async || {
            let lines = self.lines();
            let there: std::collections::HashSet<String> = lines.iter().map(|line| text(line, "request_id")).collect();
            wanted.iter().all(|request| there.contains(request)).then_some(lines)
        })
        .await
    }

    /// Waits for the line of a request.
    pub async fn line(&self, request: &str) -> Value {
        let lines = self.has([request.to_owned()]).await;
        lines.into_iter().find(|line| line["request_id"] == request).expect("it was there")
    }

    /// The files of the audit log, in their order.
    pub fn audit(&self) -> Vec<PathBuf> {
        files(&self.folder().join("audit"), "audit-")
    }

    /// The audit log's records so far.
    pub fn records(&self) -> Vec<Value> {
        read(&self.audit())
    }
}

/// The usage lines of a gateway's `metering.folder` so far, those of one id once.
pub fn lines_of(folder: &Path) -> Vec<Value> {
    let lines = read(&files(&folder.join("usage"), "usage"));
    let by_id: BTreeMap<String, Value> = lines.into_iter().map(|line| (text(&line, "id"), line)).collect();
    by_id.into_values().collect()
}

/// A field that is a text.
pub fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_default().to_owned()
}

/// `meshctl` with these arguments: whether it was content, and what it said.
pub fn meshctl(arguments: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(places::program("meshctl")).args(arguments).output().expect("meshctl runs");
    (output.status.success(), [output.stdout, output.stderr].concat().iter().map(|&byte| char::from(byte)).collect())
}

fn files(folder: &Path, begin: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(begin) && path.extension().is_some_and(|end| end == "jsonl")
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).filter(named).collect();
    files.sort();
    files
}

/// Whole lines: one that is being written has no end yet.
fn read(files: &[PathBuf]) -> Vec<Value> {
    let whole = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        text[..end].lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect::<Vec<Value>>()
    };
    files.iter().flat_map(whole).collect()
}
