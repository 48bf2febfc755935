//! A file of a tenant, as OpenAI's clients know it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is said of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// `file-…`.
    pub(super) id: String,
    /// Its size.
    pub(super) bytes: u64,
    /// Seconds since 1970.
    pub(super) created_at: u64,
    /// As whoever sent it calls it.
    pub(super) filename: String,
    /// `batch` for what came in, `batch_output` for what came out.
    pub(super) purpose: String,
    /// Whether its bytes are in the object store, and not in the folder.
    #[serde(default)]
    pub(super) stored: bool,
}

impl FileRecord {
    pub(super) fn json(&self) -> Value {
        let Self { id, bytes, created_at, filename, purpose, stored: _ } = self;
        json!({
            "id": id, "object": "file", "bytes": bytes, "created_at": created_at, "filename": filename, "purpose": purpose,
            "status": "processed", "status_details": null, "expires_at": null,
        })
    }
}
