//! How a call is guarded: tower layers that two services or more use.
//!
//! From the outside in: [`observe`] knows every call from its first byte to its last, [`errors`] turns what goes wrong into an answer,
//! [`shed`] refuses what is too much, and [`deadline`] ends what takes too long, its body included.

pub mod call;
pub mod deadline;
pub mod errors;
pub mod fair;
pub mod observe;
pub mod shed;
