//! What calls have used: measured as they go by, written down before their answers end, and shipped to where it is wanted.
//!
//! A call's [`Measured`] is in the extensions of its request. The innermost service and the HTTP doors' calls into the mesh fill it ([`flow`], [`body`]); every layer
//! in front of them may read what has been used so far. Where a [`Meter`] is set up ([`start()`]), every call of somebody who was let in makes one event when its answer
//! ends, whose last byte waits until the event is durable ([`metered`]). From the spool, events are shipped at least once to each [`ship::Sink`].

pub mod accounts;
mod ahead;
pub mod body;
mod call;
pub mod files;
pub mod flow;
pub mod measured;
pub mod measuring;
mod meter;
pub mod metered;
mod method;
pub mod metrics;
mod settings;
pub mod ship;
mod start;

pub use call::OnceId;
pub use measured::{Measured, Units};
pub use meter::Meter;
pub use settings::{MeteringSettings, WhenFull};
pub use start::start;

#[cfg(test)]
mod tests;
