//! The routes in use: from a file or from where all routers keep them, and anew whenever they change there.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{Routes, read};
use crate::store::Known;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The routes in use. A change that is wrong is reported in the log with every mistake, and the last good routes stay.
#[derive(Debug, Clone, Default)]
pub struct RoutesInUse {
    routes: Arc<ArcSwap<Routes>>,
    unknown: Arc<AtomicBool>,
}

impl RoutesInUse {
    /// Reads the file; the error has every mistake in it.
    pub fn open(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("routes_file: {}: {error}", path.display()))?;
        let routes = read::parse(&text).map_err(|problems| format!("routes_file: {} is wrong\n{problems}", path.display()))?;
        Ok(Self { routes: Arc::new(ArcSwap::from_pointee(routes)), ..Self::default() })
    }

    /// Routes that are not known yet.
    pub fn awaited() -> Self {
        Self { unknown: Arc::new(true.into()), ..Self::default() }
    }

    /// The routes as they are now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Routes>> {
        self.routes.load()
    }

    /// Whether they have been read. A router that does not know them would send calls to versions that nobody wanted to answer.
    pub fn are_known(&self) -> bool {
        !self.unknown.load(Ordering::Acquire)
    }

    /// Follows the file for as long as the process runs.
    pub async fn follow_file(self, path: PathBuf) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        let mut last = None;
        loop {
            tick.tick().await;
            // A file that is gone for a moment is being replaced.
            let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
            if last.as_ref() != Some(&text) {
                self.take(&text);
                last = Some(text);
            }
        }
    }

    /// Follows the document for as long as the process runs; one that does not exist is no routes.
    pub async fn follow(self, mut document: watch::Receiver<Known>) {
        loop {
            let known = document.borrow_and_update().clone();
            match known {
                Known::NotYet => {}
                Known::Absent => self.take(""),
                Known::There(document) => self.take(&document.text),
            }
            if document.changed().await.is_err() {
                return;
            }
        }
    }

    fn take(&self, text: &str) {
        match read::parse(text) {
            Ok(routes) => {
                if routes != **self.routes.load() {
                    tracing::info!(routes = routes.len(), "the routes changed");
                    self.routes.store(Arc::new(routes));
                }
                self.unknown.store(false, Ordering::Release);
            }
            Err(problems) => tracing::error!(%problems, "the routes are wrong; the last good ones stay in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Document;

    fn known(text: &str) -> Known {
        Known::There(Arc::new(Document { version: 1, text: text.into() }))
    }

    #[tokio::test]
    async fn routes_are_unknown_until_they_were_read_and_stay_when_the_next_are_wrong() {
        let (sender, receiver) = watch::channel(Known::NotYet);
        let routes = RoutesInUse::awaited();
        tokio::spawn(routes.clone().follow(receiver));
        let until = async |wanted: &dyn Fn() -> bool| {
            while !wanted() {
                tokio::task::yield_now().await;
            }
        };
        assert!(!routes.are_known());
        sender.send_replace(known("[[route]]\nmodel = 'm'\nto = [{ version = '1' }]"));
        until(&|| routes.are_known()).await;
        assert_eq!(routes.load().len(), 1);
        sender.send_replace(known("[[route]]"));
        sender.send_replace(Known::Absent);
        until(&|| routes.load().is_empty()).await;
    }
}
