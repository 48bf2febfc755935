//! The file that routes come from, read again when it changes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{Routes, read};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The routes in use. A change that is wrong is reported in the log with every mistake, and the last good routes stay.
#[derive(Debug, Clone, Default)]
pub struct RoutesInUse(Arc<ArcSwap<Routes>>);

impl RoutesInUse {
    /// Reads the file; the error has every mistake in it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("routes_file: {}: {error}", path.display()))?;
        let routes = read::parse(&text).map_err(|problems| format!("routes_file: {} is wrong\n{problems}", path.display()))?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(routes))))
    }

    /// The routes as they are now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Routes>> {
        self.0.load()
    }

    /// Follows the file for as long as the process runs.
    pub async fn follow(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = None;
        loop {
            tick.tick().await;
            // A file that is gone for a moment is being replaced.
            let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
            if last.as_ref() == Some(&text) {
                continue;
            }
            match read::parse(&text) {
                Ok(routes) if routes == **self.0.load() => {}
                Ok(routes) => {
                    tracing::info!(routes = routes.len(), "the routes changed");
                    self.0.store(Arc::new(routes));
                }
                Err(problems) => tracing::error!(%problems, "the routes file is wrong; the last good routes stay in use"),
            }
            last = Some(text);
        }
    }
}
