//! Kubernetes: the pods behind a Service, as its EndpointSlices list them, told by the API server as they change ([`Kubernetes`]); and what all replicas agree on, in objects of
//! the namespace: documents in ConfigMaps ([`documents`]), and a Lease for the one that acts for all ([`lease`]).
//!
//! Facts are Kubernetes' own documentation's: "EndpointSlices", "API concepts: efficient detection of changes", "Accessing the API from a pod", "ConfigMaps", "Leases".

mod changes;
mod client;
pub mod documents;
mod error;
mod follow;
mod history;
pub mod lease;
mod objects;
mod settings;
mod slices;
mod watch;

pub use client::Client;
pub use error::KubernetesError;
pub use settings::KubernetesSettings;
pub use watch::Kubernetes;
