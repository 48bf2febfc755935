//! Who is out there.
//!
//! One trait, [`Discovery`], and its sources: a file ([`StaticFile`]), a name in the DNS ([`Dns`]), the EndpointSlices of Kubernetes ([`kubernetes`]) and
//! Consul ([`consul`]), which is also where an instance says that it is there. [`settings`] chooses among them. Whatever a source suffers, what it said last stays in use.
//!
//! Consul and Kubernetes also keep what replicas agree on ([`agreed`]).

pub mod agreed;
pub mod consul;
mod dns;
pub mod kubernetes;
mod retry;
mod settings;
mod static_file;
mod zone;

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;
use torchmesh_api::ids::InstanceId;

pub use dns::{Dns, DnsSettings};
pub use settings::{SourceError, SourceSettings};
pub use static_file::{FileError, StaticFile};
pub use zone::Zone;

/// One registered process of a service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// Its id, unique within the service.
    pub id: InstanceId,
    /// Where it takes calls.
    pub addr: SocketAddr,
    /// The zone that it is in, where that is told.
    pub zone: Option<Zone>,
}

/// The instances of one service. A new list replaces the old one whole.
pub type Instances = Arc<Vec<Instance>>;

/// A source of instances.
pub trait Discovery {
    /// The instances of `service` now and, through the receiver, after each change. When the source fails, the last list stays.
    fn watch(&self, service: &str) -> watch::Receiver<Instances>;
}

/// Puts `next` in the place of what is there, and says so only where it is different.
fn replace(sender: &watch::Sender<Instances>, next: Vec<Instance>) {
    sender.send_if_modified(|now| {
        let changed = **now != next;
        if changed {
            *now = Arc::new(next);
        }
        changed
    });
}

/// An error of reqwest's says the least by itself; what is behind it says why.
fn causes(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_timeout() { "it did not answer in time".to_owned() } else { cause.to_string() }
}
