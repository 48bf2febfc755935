//! Moments as microseconds since the process first asked: they fit an atomic.

use std::{sync::OnceLock, time::Instant};

/// `now` in microseconds; never 0.
pub(crate) fn micros(now: Instant) -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    now.saturating_duration_since(*EPOCH.get_or_init(|| now)).as_micros() as u64 + 1
}
