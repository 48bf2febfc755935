//! Where events go, and what happens when they cannot.

use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_spool::{Spool, Ticket};

use super::{metrics::MeteringMetrics, settings::WhenFull};

/// Takes the events of all calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Meter {
    spool: Spool,
    when_full: WhenFull,
    metrics: MeteringMetrics,
}

impl Meter {
    /// Events go to this spool.
    pub fn new(spool: Spool, when_full: WhenFull, metrics: MeteringMetrics) -> Self {
        Self { spool, when_full, metrics }
    }

    /// Whether a new call may begin.
    ///
    /// Error: Unavailable, while events cannot be written and calls are to be refused for that.
    pub(super) fn admit(&self) -> Result<(), ApiError> {
        if self.when_full == WhenFull::Refuse && self.spool.is_full() {
            self.metrics.refused();
            return Err(unmetered());
        }
        Ok(())
    }

    pub(super) fn record(&self, event: &[u8]) -> Ticket {
        self.spool.append(event)
    }

    /// Whether a call whose event is lost may end as if nothing had happened.
    pub(super) fn forgives(&self) -> bool {
        self.when_full == WhenFull::GoOn
    }
}

/// What a caller is told whose call cannot be metered.
pub(super) fn unmetered() -> ApiError {
    let message = "the use of this call cannot be recorded at the moment; try again later";
    ApiError::new(ErrorKind::Unavailable, message).retry_after(std::time::Duration::from_secs(1))
}
