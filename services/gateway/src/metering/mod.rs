//! What calls have used: measured as they go by.
//!
//! A call's [`Measured`] is in the extensions of its request. The innermost service and the HTTP doors' calls into the mesh fill it ([`flow`], [`body`]); every layer
//! in front of them may read what has been used so far.

pub mod body;
pub mod flow;
pub mod measured;
pub mod measuring;

pub use measured::{Measured, Units};
