//! Who calls, and what they may do.
//!
//! [`Auth`] looks at what a call shows, and puts an `Arc<`[`Principal`]`>` in its extensions or refuses it.

mod auth;
mod keys;
mod principal;

pub use auth::{Admission, Auth, Keyring};
pub use principal::{CredentialKind, Principal};
