//! Ready or not, serving or draining: two switches that everything in a process can watch.

use tokio::sync::watch;

/// Whether this instance wants calls. Starts as not ready.
#[derive(Debug, Clone)]
pub struct Readiness(watch::Sender<bool>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Readiness {
    /// Turns readiness on or off.
    pub fn set(&self, ready: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, ready) != ready);
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
