//! Where models come from.
//!
//! A `[[source]]` of a manifest ([`Source`]) names a place ([`Address`]): a Hugging Face hub, an object store, a web server. [`fetch`] lists what is
//! there, downloads what the version needs (resuming what an earlier attempt left), holds every file against its pin ([`lock`]), and installs the
//! version at one stroke ([`Shelf`]). Whoever reads the version's folder sees the old files or the new ones, and never a part.

mod address;
mod download;
mod error;
mod fetch;
pub mod lock;
mod partial;
mod pattern;
mod shelf;
mod source;
mod store;

pub use address::Address;
pub use error::FetchError;
pub use fetch::{Outcome, fetch, fetch_blocking};
pub use pattern::Pattern;
pub use shelf::Shelf;
pub use source::{Mistake, Source, read};
pub use store::objects;

/// Told how a fetch goes on. Every method may be called from any thread.
pub trait Watch: Send + Sync {
    /// What there is to fetch: files, and bytes where the server says how many (else 0); `here` of them are on the disk already.
    fn begins(&self, files: usize, bytes: u64, here: u64);
    /// So many more bytes have been written.
    fn moves(&self, bytes: u64);
    /// A file is begun again after a mishap, from where it stopped.
    fn stumbles(&self, file: &str, reason: &str);
}
