//! What is the same in all pieces of an answer.

use std::time::{SystemTime, UNIX_EPOCH};

/// An answer's id, and when it began, in seconds of Unix's time.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) id: String,
    pub(super) created: u64,
}

impl Stamp {
    /// A new id with this beginning, and now.
    pub(super) fn new(prefix: &str) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { id: format!("{prefix}{:032x}", fastrand::u128(..)), created }
    }
}
