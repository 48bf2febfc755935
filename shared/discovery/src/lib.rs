//! Who is out there.
//!
//! One trait, [`Discovery`], and one source so far: a static file ([`StaticFile`]) that may change while it is watched.

mod static_file;

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;
use torchmesh_api::ids::InstanceId;

pub use static_file::{FileError, StaticFile};

/// One registered process of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id, unique within the service.
    pub id: InstanceId,
    /// Where it takes calls.
    pub addr: SocketAddr,
}

/// The instances of one service. A new list replaces the old one whole.
pub type Instances = Arc<Vec<Instance>>;

/// A source of instances.
pub trait Discovery {
    /// The instances of `service` now and, through the receiver, after each change. When the source fails, the last list stays.
    fn watch(&self, service: &str) -> watch::Receiver<Instances>;
}
