//! Progressive delivery: a new version gets a little of the calls, and more only when there is evidence that it does as well.
//!
//! Everything here is pure: an operator's [`plan`], what was seen of two versions ([`evidence`]), what may be concluded from it ([`judge`], by the
//! [`bounds`]), what follows ([`machine`]), and how the routes say it ([`weights`]). Time is an argument, and nothing is read or written.

pub mod bounds;
pub mod evidence;
pub mod histogram;
pub mod judge;
pub mod machine;
pub mod plan;
#[cfg(test)]
mod simulation;
pub mod stage;
mod stored;
pub mod weights;

pub use evidence::{Evidence, Snapshot};
pub use machine::Rollout;
pub use plan::Plan;
pub use stage::{Command, Event, Refused, Sample, Stage, Wanted};
