//! Who is asking what at the moment.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Key;

/// All questions that are being asked.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Key, watch::Receiver<()>>>);

/// A question that is being asked, until this is dropped.
#[derive(Debug)]
pub struct Flight {
    flights: Arc<Flights>,
    key: Key,
    /// Those who wait learn of its end by its being gone.
    _landed: watch::Sender<()>,
}

/// Somebody else's.
#[derive(Debug)]
pub(super) struct Another(watch::Receiver<()>);

impl Another {
    /// Waits until it is over, however it ends.
    pub(super) async fn lands(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl Flights {
    /// Begins to ask.
    ///
    /// Error: somebody else is asking.
    pub(super) fn begin(self: &Arc<Self>, key: Key) -> Result<Flight, Another> {
        let mut flights = self.0.lock();
        if let Some(another) = flights.get(&key) {
            return Err(Another(another.clone()));
        }
        let (landed, waiting) = watch::channel(());
        flights.insert(key, waiting);
        Ok(Flight { flights: Arc::clone(self), key, _landed: landed })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.0.lock().remove(&self.key);
    }
}
