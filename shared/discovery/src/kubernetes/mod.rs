//! Kubernetes: the pods behind a Service, as its EndpointSlices list them, told by the API server as they change.
//!
//! Facts are Kubernetes' own documentation's: "EndpointSlices", "API concepts: efficient detection of changes", "Accessing the API from a pod".

mod client;
mod settings;
mod slices;
mod watch;

pub use client::KubernetesError;
pub use settings::KubernetesSettings;
pub use watch::Kubernetes;
