//! What replicas agree on, wherever it is kept: documents, and which of them acts for all.

use tokio::{sync::watch, time::Instant};

/// A document, and the version that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Another after each change; what must be named to replace it. 0: the document does not exist.
    pub version: u64,
    /// What it says.
    pub text: String,
}

/// Whether this process acts for all.
#[derive(Debug, Clone)]
pub struct Lead(watch::Receiver<Option<Instant>>);

impl Lead {
    /// What is held until when, as whoever contends for it tells.
    pub(crate) fn new(held: watch::Receiver<Option<Instant>>) -> Self {
        Self(held)
    }

    /// Whether it is this process's to act, at this moment and by its own clock.
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }
}
