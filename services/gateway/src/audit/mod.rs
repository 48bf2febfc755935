//! The audit log: what is kept of every call that was let in, chained record by record ([`torchmesh_ledger::audit`]).
//!
//! It is made of the same events as the bills, which are durable before an answer ends.

use std::{io, path::Path};

use torchmesh_api::usage::v1::UsageEvent;
use torchmesh_ledger::audit::{Call, Log};

use crate::metering::ship::Sink;

/// Writes the log.
#[derive(Debug)]
pub struct Audit {
    log: Log,
}

impl Audit {
    /// The log in this folder, which is made.
    pub fn open(folder: &Path, rotate_bytes: u64) -> io::Result<Self> {
        Ok(Self { log: Log::open(folder, rotate_bytes)? })
    }
}

impl Sink for Audit {
    const NAME: &str = "audit";

    async fn take(&mut self, events: &[UsageEvent]) -> Result<(), String> {
        self.log.add(events.iter().map(Call::of)).map_err(|error| format!("the audit log: {error}"))
    }
}
