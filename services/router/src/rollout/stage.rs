//! Where a rollout stands, what comes in, and what goes out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::evidence::Snapshot;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It gathers evidence.
    Running,
    /// An operator holds it where it is; a version that turns out bad is still taken back.
    Paused,
    /// The new version has all calls.
    Promoted,
    /// The old version has all calls again, because the new one was bad, or evidence did not come.
    RolledBack,
    /// The old version has all calls again, because an operator wanted it.
    Aborted,
}

/// What an operator may want of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Stay at this step.
    Pause,
    /// Go on; the step's time and evidence begin anew.
    Resume,
    /// Back to the old version, at once.
    Abort,
}

/// A command that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// It has ended.
    #[error("the rollout of {0} has ended; start another with `meshctl rollout start`")]
    Ended(String),
    /// It is not paused.
    #[error("the rollout of {0} is not paused; there is nothing to resume")]
    NotPaused(String),
    /// It is paused already.
    #[error("the rollout of {0} is paused already; `meshctl rollout resume` goes on")]
    PausedAlready(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What, and why: one sentence.
    pub said: String,
}

/// What the route must say now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// The new version's share in percent; the old one has the rest.
    pub percent: f64,
    /// Calls in percent that are mirrored to the new version.
    pub shadow: Option<f64>,
}

/// What one router has seen.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which router: the same name each time.
    pub router: String,
    /// Of the old version.
    pub stable: Snapshot,
    /// Of the new one.
    pub canary: Snapshot,
}
