//! Who calls, and what they may do.
//!
//! [`Auth`] looks at what a call shows, and puts an `Arc<`[`Principal`]`>` in its extensions or refuses it. Whom it finds is [`Identity`]'s to say: API keys,
//! OAuth clients and workloads of the keys file and of the [accounts](AccountsSettings), and the tokens of [issuers](IssuerSettings). What a path needs says [`needs`]; which models a caller may
//! use, [`grants`].

pub(crate) mod accounts;
mod auth;
mod everybody;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod grants;
mod issuer;
mod keys;
mod known;
mod metrics;
pub mod needs;
mod oauth;
mod principal;
mod remembered;
pub mod reread;
mod rights;
mod settings;
mod shown;
mod signing;
mod spiffe;
#[cfg(test)]
mod timing;

pub use accounts::AccountsSettings;
pub use auth::{Admission, Auth};
pub use issuer::{IssuerSettings, KeysFrom, ScopeMapping, TenantFrom};
pub use known::Identity;
pub use oauth::{OauthSettings, routes};
pub use principal::{CredentialKind, Principal};
pub use settings::IdentitySettings;
