//! How much a caller may use: rate limits, quotas and budgets, kept by one gateway alone or by several together.
//!
//! [`file`] reads the rules. A call belongs to a count for each rule that is for it ([`table`], [`cell`]), and asks all of them at once
//! ([`charge`]); the decisions themselves are plain functions ([`gcra`], [`calendar`]). [`fleet`] has the counts kept by Redis, so that all gateways
//! go by the same; without it, or while it is away, they are kept here. [`limiter`] is the whole.

pub mod amount;
pub mod calendar;
pub mod cell;
pub mod charge;
pub mod file;
pub mod fleet;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gcra;
pub mod limiter;
pub mod pattern;
pub mod price;
pub mod rule;
pub mod table;

pub use file::Rules;
pub use limiter::{Costs, Limiter, Permit, Refusal};
