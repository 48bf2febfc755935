//! Consul: who is there ([`watch`]), that one is there oneself ([`registration`]), and documents that all replicas agree on ([`kv`], [`lock`]).
//!
//! The HTTP API is spoken by [`client`], which knows the dozen calls that are needed and nothing else. Facts of the API are Consul's own documentation's: "HTTP API",
//! "Blocking Queries", "Sessions".

pub mod client;
pub mod kv;
pub mod lock;
pub mod registration;
pub mod settings;

mod linger;
mod position;
mod watch;

use std::net::SocketAddr;

pub use client::{Client, ConsulError};
pub use registration::{Advertised, Life};
pub use settings::ConsulSettings;
pub use watch::Consul;

use crate::Zone;

/// Keeps the process that listens at `listens` registered as an instance of `service` in `zone`, for as long as its `life` says.
pub fn announce<G: Send + 'static>(
    settings: &ConsulSettings,
    service: &'static str,
    listens: SocketAddr,
    tls: bool,
    zone: Option<&Zone>,
    life: Life<G>,
) -> Result<(), ConsulError> {
    let who = Advertised { zone: zone.cloned(), ..settings.advertised(service, listens, tls)? };
    registration::announce(Client::new(settings)?, who, life);
    Ok(())
}
