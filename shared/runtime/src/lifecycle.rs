//! Ready or not, serving or draining: two switches that everything in a process can watch.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

/// Whether this instance wants calls. Starts as not ready; once retired, never ready again.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Sender<bool>, Arc<AtomicBool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(false), Arc::default())
    }
}

impl Readiness {
    /// Turns readiness on or off.
    pub fn set(&self, ready: bool) {
        self.change(|retired| ready && !retired);
    }

    /// Turns readiness off for good: whoever watches something and finds it well again does not call an instance back that is about to go.
    pub fn retire(&self) {
        self.1.store(true, Ordering::Release);
        self.change(|_| false);
    }

    fn change(&self, next: impl FnOnce(bool) -> bool) {
        // Looked at under the channel's lock, so that a `set` that is late cannot come after the `retire` that it did not see.
        self.0.send_if_modified(|now| {
            let next = next(self.1.load(Ordering::Acquire));
            std::mem::replace(now, next) != next
        });
    }

    /// Whether calls are wanted at this moment.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }

    /// To wait for changes.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

/// Whether this process is on its way out. Once draining, always draining.
#[derive(Debug, Clone)]
pub struct Drain(watch::Sender<bool>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Drain {
    /// Begins the drain.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow()
    }

    /// To wait for the drain without keeping this.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Returns once the drain has begun.
    pub async fn draining(&self) {
        let mut changes = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = changes.wait_for(|draining| *draining).await;
    }
}

/// What must be done before the process ends, such as telling others that it has gone: the process waits, though not for ever, until every guard is dropped.
#[derive(Debug, Clone)]
pub struct Farewell(watch::Sender<()>);

impl Default for Farewell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

/// Something to be done before the end; dropped when it is.
#[derive(Debug)]
pub struct Unfinished {
    _counted: watch::Receiver<()>,
}

impl Farewell {
    /// One more thing to wait for.
    pub fn wait_for(&self) -> Unfinished {
        Unfinished { _counted: self.0.subscribe() }
    }

    /// Returns once everything is done.
    pub async fn said(&self) {
        self.0.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_about_to_go_is_not_called_back() {
        let readiness = Readiness::default();
        let mut changes = readiness.subscribe();
        readiness.set(true);
        assert!(readiness.is_ready() && changes.has_changed().unwrap());
        changes.mark_unchanged();
        readiness.retire();
        assert!(!readiness.is_ready() && changes.has_changed().unwrap());
        changes.mark_unchanged();
        // A prober that finds a worker well, in a copy of its own.
        readiness.clone().set(true);
        assert!(!readiness.is_ready() && !changes.has_changed().unwrap());
    }
}
