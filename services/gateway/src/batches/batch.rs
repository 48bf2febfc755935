//! One batch: what was asked for, and how far it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::owner::Owner;

/// A batch must be done within a day, as its callers are told (`completion_window`).
pub(super) const WINDOW: u64 = 24 * 3600;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Its lines are being read.
    Validating,
    /// Its lines are wrong.
    Failed,
    /// Its calls are being made.
    InProgress,
    /// All calls are made.
    Completed,
    /// Its time was up before all calls were made.
    Expired,
    /// It was called off.
    Cancelled,
}

impl Status {
    /// Whether nothing more happens to it.
    pub(super) fn is_final(self) -> bool {
        !matches!(self, Self::Validating | Self::InProgress)
    }
}

/// A line that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mistake {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) param: Option<String>,
    /// From 1 up; none where it is about the whole file.
    pub(super) line: Option<usize>,
}

/// How many calls there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) completed: usize,
    pub(super) failed: usize,
}

/// See the module. Written whole by whoever holds the batch's lock, and by nobody else once it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// `batch_…`.
    pub(super) id: String,
    pub(super) endpoint: String,
    pub(super) input_file_id: String,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) owner: Owner,
    pub(super) status: Status,
    pub(super) errors: Vec<Mistake>,
    pub(super) counts: Counts,
    /// The files that the answers go to, drawn at the beginning so that whoever takes over finds them.
    pub(super) output: String,
    pub(super) error: String,
    pub(super) created_at: u64,
    pub(super) in_progress_at: Option<u64>,
    pub(super) ended_at: Option<u64>,
    pub(super) cancelling_at: Option<u64>,
}

impl Batch {
    /// When its time is up.
    pub(super) fn expires_at(&self) -> u64 {
        self.created_at + WINDOW
    }

    /// Ends it.
    pub(super) fn end(&mut self, status: Status, now: u64) {
        self.status = status;
        self.ended_at = Some(now);
    }

    /// As OpenAI's clients know it. `cancelling`: somebody called it off, and whoever runs it has not heard yet.
    pub(super) fn json(&self, cancelling: bool) -> Value {
        let at = |status: Status| self.ended_at.filter(|_| self.status == status);
        let status = match self.status {
            Status::Validating | Status::InProgress if cancelling => json!("cancelling"),
            status => json!(status),
        };
        let ended = self.status.is_final();
        let Counts { total, completed, failed } = self.counts;
        let errors = (!self.errors.is_empty()).then(|| json!({ "object": "list", "data": self.errors }));
        json!({
            "id": self.id, "object": "batch", "endpoint": self.endpoint, "errors": errors, "input_file_id": self.input_file_id,
            "completion_window": "24h", "status": status,
            "output_file_id": (ended && completed > 0).then_some(&self.output),
            "error_file_id": (ended && failed > 0).then_some(&self.error),
            "created_at": self.created_at, "in_progress_at": self.in_progress_at, "expires_at": self.expires_at(), "finalizing_at": null,
            "completed_at": at(Status::Completed), "failed_at": at(Status::Failed), "expired_at": at(Status::Expired),
            "cancelling_at": self.cancelling_at, "cancelled_at": at(Status::Cancelled),
            "request_counts": { "total": total, "completed": completed, "failed": failed },
            "metadata": self.metadata,
        })
    }
}
