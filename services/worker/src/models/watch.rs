//! Keeps the models up with the repository.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::MissedTickBehavior};

use super::Registry;

/// Looks at the repository every `interval`, for as long as there is a registry.
///
/// It looks, and does not wait to be told: a notice of the file system does not come from network file systems, and comes early for files that are
/// still being written.
pub fn watch(registry: &Arc<Registry>, interval: Duration, control: &Handle) {
    let registry = Arc::downgrade(registry);
    control.spawn(async move {
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the registry has only just looked.
        tick.tick().await;
        loop {
            tick.tick().await;
            let Some(registry) = registry.upgrade() else { return };
            // A look that panics is one that has found nothing out.
            let _ = tokio::task::spawn_blocking(move || registry.look()).await;
        }
    });
}
