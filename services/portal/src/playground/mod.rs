//! Calls from the browser: passed on with a key that is made for them, and that no browser ever sees.
//!
//! The first call of a session makes a key of the member's own tenant, named `playground-…`, which ends by itself after an hour. It is kept in this process's memory, beside the hash of the session that
//! it is for, and revoked when that is signed out of. What is called is metered as any other key's calls are.

mod keys;
mod send;

pub use keys::Keys;
pub use send::{chat, embed, task};

/// What the names of its keys begin with.
pub const NAMED: &str = "playground-";
