//! Who calls, and what they may do.
//!
//! [`Auth`] looks at what a call shows, and puts an `Arc<`[`Principal`]`>` in its extensions or refuses it. What a path needs says [`needs`]; which
//! models a caller may use, [`grants`].

mod auth;
pub mod grants;
mod keyring;
mod keys;
pub mod needs;
mod principal;
pub mod reread;

pub use auth::{Admission, Auth};
pub use keyring::Keyring;
pub use principal::{CredentialKind, Principal};
