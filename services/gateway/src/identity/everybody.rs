//! Everybody with a secret: those of the keys file, and those of the accounts.

use std::sync::Arc;

use torchmesh_api::ids::TenantId;

use super::{
    keys::{Found, Keys},
    principal::Principal,
    rights::{Hash, Rights},
    spiffe::SpiffeId,
};

/// Both. Whom the keys file knows, it speaks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Everybody {
    /// The keys file.
    pub(super) file: Arc<Keys>,
    /// The accounts.
    pub(super) accounts: Arc<Keys>,
}

impl From<Keys> for Everybody {
    fn from(file: Keys) -> Self {
        Self { file: Arc::new(file), accounts: Arc::default() }
    }
}

impl Everybody {
    /// See [`Keys::find`].
    pub(super) fn find(&self, hash: &Hash, now: u64) -> Found<'_> {
        match self.file.find(hash, now) {
            Found::Unknown => self.accounts.find(hash, now),
            found => found,
        }
    }

    /// See [`Keys::named`].
    pub(super) fn named(&self, name: &str, tenant: &TenantId, now: u64) -> Option<Arc<Principal>> {
        self.file.named(name, tenant, now).or_else(|| self.accounts.named(name, tenant, now)).cloned()
    }

    /// See [`Keys::client`].
    pub(super) fn client(&self, name: &str, secret: &[u8], now: u64) -> Option<&Rights> {
        self.file.client(name, secret, now).or_else(|| self.accounts.client(name, secret, now))
    }

    /// See [`Keys::client_now`].
    pub(super) fn client_now(&self, name: &str, now: u64) -> Option<(&Rights, u64)> {
        self.file.client_now(name, now).or_else(|| self.accounts.client_now(name, now))
    }

    /// See [`Keys::workload`]. The accounts have none.
    pub(super) fn workload(&self, id: SpiffeId<'_>) -> Option<&Rights> {
        self.file.workload(id)
    }
}
