//! Privacy: all that is kept about a tenant or a person, told as one document ([`export_tenant`], [`export_person`]), and erased ([`Privacy`]).

mod attend;
mod export;
mod person;
mod retention;
mod sections;
mod sink;
mod tenant;

use std::sync::Arc;

use tokio::sync::Notify;

pub use attend::attend;
pub use export::{export_person, export_tenant};
pub use retention::RetentionSettings;
pub use sink::{Piece, Sink};

use crate::{billing::Billing, people::Outbox, store::Store};

/// What erasing takes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Privacy {
    store: Store,
    billing: Billing,
    outbox: Outbox,
    retention: RetentionSettings,
    /// That there is something to do in the background.
    wakes: Arc<Notify>,
}

impl Privacy {
    /// Of what is kept here.
    pub fn new(store: Store, billing: Billing, outbox: Outbox, retention: RetentionSettings) -> Self {
        Self { store, billing, outbox, retention, wakes: Arc::default() }
    }

    fn wake(&self) {
        self.wakes.notify_one();
    }
}
