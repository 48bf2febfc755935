//! The whole mesh as its callers and operators see it. One program: linking is what most of building the tests costs.
//!
//! `cargo test --release -p torchmesh-tests --test behaviours limits::` runs a part of it. What goes by how fast
//! things happen (`chaos`, `rollouts`, `limits_together`) is a program of its own, and has the machine for itself.

mod accounts;
mod batches;
mod calls;
mod clients;
mod identity;
mod language;
mod limits;
mod metering;
mod models;
mod pipelines;
mod portal;
mod redaction;
mod routing;
mod scripted;
