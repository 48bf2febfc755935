//! The audit log: who has asked for what, and how it ended. A record is chained to the one before it, so that nothing can be changed, removed or put in between without
//! being found.
//!
//! A line is a JSON object whose last field is `hash`. What stands in front of it (with a `}` in the place of `,"hash":"…"}`) is the record; its hash is SHA-256 over
//! the hash of the record before and those bytes. The first record follows the hash of 64 zeros. Files are named by the number of their first record, and the chain goes on from one to
//! the next. Beside them, `audit.head` has the number and the hash of the last record, so that a log which was cut short is told from one that is whole.
//!
//! Who can write all of these files can write another log that is whole: keep the head, or the hashes that `verify` tells, where they cannot.

mod log;
mod record;
mod verify;

pub use log::{Log, Places};
pub use record::{Call, Chain, Hash};
pub use verify::{Broken, Whole, verify};
