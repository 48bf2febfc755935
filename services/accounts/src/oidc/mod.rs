//! Signing in through providers of OpenID Connect (Core 1.0): the authorization code flow with PKCE (RFC 7636).
//!
//! Who begins is sent to the provider with a state, a nonce and the hash of a verifier, which are kept here and good once, in the browser that began ([`begin`]). Who comes back has a code, for
//! which the provider gives a token (`provider`) that is held against all of it (`claims`) and says who they are: a member who is known by it, or becomes so (`person`).

mod begin;
mod claims;
mod complete;
mod kept;
mod person;
mod provider;
mod settings;

use std::sync::Arc;

pub use begin::begin;
pub use complete::{Returned, complete};
pub use settings::ProviderSettings;

use self::provider::Provider;
use crate::error::{Refusal, Result};

/// Those of the settings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Providers(Arc<Vec<Provider>>);

impl Providers {
    /// Nobody is asked yet.
    ///
    /// Error: what is wrong with a file.
    pub fn new(settings: Vec<ProviderSettings>) -> std::result::Result<Self, String> {
        settings.into_iter().map(Provider::new).collect::<std::result::Result<_, _>>().map(|all| Self(Arc::new(all)))
    }

    /// Their names, and what people call them.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|provider| (&*provider.settings.name, &*provider.settings.title))
    }

    fn find(&self, name: &str) -> Result<&Provider> {
        let found = self.0.iter().find(|provider| provider.settings.name == name);
        found.ok_or_else(|| Refusal::Absent("provider: there is no such one".to_owned()))
    }
}
