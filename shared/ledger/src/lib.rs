//! What is written down of calls, as files of JSON lines: what each has used ([`usage`]), and who has asked for what ([`audit`]).
//!
//! The gateway writes both, and `meshctl` reads them.

pub mod audit;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod id;
pub mod lines;
pub mod time;
pub mod usage;
