//! The keys file as it is at the moment.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use torchmesh_runtime::process::{Context, StartError};

use super::keys::Keys;

/// How often the file is looked at: whatever was taken out is refused after at most this long.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Keyring(Arc<ArcSwap<Keys>>);

impl Keyring {
    /// Reads the file and begins to watch it. A change that is wrong is reported in the log, and what was good last stays.
    pub fn open(path: &Path, context: &Context) -> Result<Self, StartError> {
        let ring = Self::of(Keys::read(path).map_err(|error| format!("keys_file: {error}"))?);
        context.control.spawn(ring.clone().watch(path.to_owned()));
        Ok(ring)
    }

    pub(super) fn of(keys: Keys) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(keys)))
    }

    pub(super) fn now(&self) -> Guard<Arc<Keys>> {
        self.0.load()
    }

    async fn watch(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = std::fs::read(&path).unwrap_or_default();
        loop {
            tick.tick().await;
            let Ok(bytes) = std::fs::read(&path) else { continue };
            if bytes == last {
                continue;
            }
            last = bytes;
            match Keys::read(&path) {
                Ok(keys) => {
                    tracing::info!(keys = keys.count(), "the keys file changed");
                    self.0.store(Arc::new(keys));
                }
                Err(error) => tracing::error!(error, "the keys file is wrong; the last good keys stay in use"),
            }
        }
    }
}
