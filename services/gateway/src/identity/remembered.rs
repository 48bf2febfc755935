//! Tokens that were found to be good: a signature takes a hundred times as long to check as the hash of a token.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{principal::Principal, rights::Hash};

/// A token that was good.
#[derive(Debug)]
struct Entry {
    hash: Hash,
    principal: Arc<Principal>,
    /// Until when, in seconds since 1970.
    until: u64,
    /// As of which state of keys, clients and issuers.
    generation: u64,
}

/// As many tokens as there are places. Each has one place, by its hash, and shares it with others: whoever comes last stays, and the others are checked
/// again. So there is nothing to lock and nothing to clear.
#[derive(Debug)]
pub(super) struct Remembered(Box<[ArcSwapOption<Entry>]>);

impl Remembered {
    /// Room for so many.
    pub(super) fn new(places: usize) -> Self {
        Self((0..places.max(1)).map(|_| ArcSwapOption::empty()).collect())
    }

    fn place(&self, hash: &Hash) -> &ArcSwapOption<Entry> {
        let first = u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        &self.0[(first % self.0.len() as u64) as usize]
    }

    /// Whose token it is, if it was found to be good in this generation and still is at `now`.
    pub(super) fn find(&self, hash: &Hash, generation: u64, now: u64) -> Option<Arc<Principal>> {
        let entry = self.place(hash).load();
        let entry = entry.as_ref().filter(|entry| entry.hash == *hash && entry.generation == generation && now < entry.until)?;
        Some(Arc::clone(&entry.principal))
    }

    /// Keeps one.
    pub(super) fn keep(&self, hash: Hash, principal: Arc<Principal>, until: u64, generation: u64) {
        self.place(&hash).store(Some(Arc::new(Entry { hash, principal, until, generation })));
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_api::{
        access::{ModelGrants, Scopes},
        ids::TenantId,
    };

    use super::{super::principal::CredentialKind, *};

    fn principal() -> Arc<Principal> {
        let tenant = TenantId::parse("acme").unwrap();
        Arc::new(Principal::new(tenant, "n", CredentialKind::Jwt, Scopes::USUAL, ModelGrants::All))
    }

    #[test]
    fn a_token_is_remembered_until_its_time_or_a_change() {
        let kept = Remembered::new(8);
        kept.keep([1; 32], principal(), 100, 3);
        assert!(kept.find(&[1; 32], 3, 99).is_some());
        assert!(kept.find(&[1; 32], 3, 100).is_none(), "its time is over");
        assert!(kept.find(&[1; 32], 4, 99).is_none(), "something was revoked");
        assert!(kept.find(&[2; 32], 3, 99).is_none());
    }

    #[test]
    fn two_that_share_a_place_are_never_taken_for_each_other() {
        let kept = Remembered::new(1);
        kept.keep([1; 32], principal(), 100, 0);
        assert!(kept.find(&[2; 32], 0, 0).is_none());
        kept.keep([2; 32], principal(), 100, 0);
        assert!(kept.find(&[2; 32], 0, 0).is_some() && kept.find(&[1; 32], 0, 0).is_none());
    }
}
