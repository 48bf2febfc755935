//! How a torchmesh process lives: [`config`], [`telemetry`] and [`metrics`], the [`server`], and [`process`], which joins them with
//! readiness and drain.

pub mod config;
pub mod grpc;
pub mod lifecycle;
pub mod metrics;
pub mod process;
pub mod server;
pub mod telemetry;

mod admin;
