//! What the tests of the whole mesh stand on: [`MeshSandbox`] starts real services on ports of their own, and beside it are the clients
//! that call them, the upstreams that stand in for them, and the measures that are taken of them.
//!
//! Nothing here sleeps for a guessed time: what is waited for is asked for again and again, with a bound (see [`wait`]).

#![allow(clippy::missing_panics_doc, reason = "everything here speaks by panicking: whatever goes wrong ends the test that it is part of")]

pub mod accounts;
pub mod authenticator;
pub mod bucket;
pub mod checkout;
pub mod client;
pub mod consul;
pub mod directories;
pub mod instance;
pub mod issuer;
pub mod language;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod metrics;
pub mod models;
mod oauth;
pub mod origin;
pub mod places;
pub mod portal;
pub mod postgres;
pub mod python;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod sandbox;
pub mod schemas;
mod served;
pub mod spans;
pub mod sse;
pub mod tiny;
pub mod tls;
pub mod upstream;
pub mod wait;
pub mod web;
pub mod writer;

pub use instance::{Instance, Signal};
pub use sandbox::{KEY, MeshSandbox, TENANT, key_entry};
pub use wait::{bounded, bounded_by, eventually};
