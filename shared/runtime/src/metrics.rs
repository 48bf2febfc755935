//! The Prometheus registry of a process.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{encoding::text, registry::Registry};

/// The registry; cheap to clone. Names follow `torchmesh_<service>_<thing>_<unit>`.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers metrics; the closure gets the registry and may return the handles it made.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.0.lock())
    }

    /// Everything in the OpenMetrics text form.
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 << 10);
        // Writing to a `String` cannot fail, and a metric that cannot encode itself leaves the page short.
        let _ = text::encode(&mut page, &self.0.lock());
        page
    }
}
