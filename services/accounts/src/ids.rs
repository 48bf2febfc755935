//! Ids of rows: UUIDs of version 7, as text.

use torchmesh_ledger::{id, usage};

/// A new one of this moment.
pub(crate) fn new(now_ms: i64) -> String {
    usage::uuid(&id::new(u64::try_from(now_ms).unwrap_or_default(), fastrand::u128(..)))
}
