//! Models chained into one call.
//!
//! A pipeline is written in TOML ([`spec`]), put in order ([`plan`]), held against what the models take and give ([`check`]), drawn ([`draw`]) and run ([`run`]). Whoever
//! runs it makes the calls ([`run::Steps`]): this crate knows neither gRPC nor the mesh. Between the steps stand [`transform`]s, on tensors that stay bytes.

pub mod check;
pub mod draw;
pub mod element;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod kind;
pub mod plan;
pub mod run;
pub mod spec;
pub mod together;
pub mod transform;

pub use kind::{Signature, TensorType};
pub use plan::Plan;
pub use spec::Pipeline;
pub use torchmesh_settings::{Problem, Problems};
