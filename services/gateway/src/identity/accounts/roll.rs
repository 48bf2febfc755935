//! Who is known to the accounts, as far as this gateway was told.

use std::collections::HashMap;

use torchmesh_api::accounts::v1::{CredentialKind as Kind, KnownCredential, Models, WatchResponse};

use super::super::{
    keys::Keys,
    principal::CredentialKind,
    rights::{Hash, Rights},
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Roll {
    known: HashMap<String, KnownCredential>,
    /// Up to where everything was told.
    reached: (String, i64),
    /// A snapshot that has not come to its end: until it has, what was known before counts.
    coming: Option<HashMap<String, KnownCredential>>,
}

impl Roll {
    /// Of which database and up to which revision it is complete.
    pub(super) fn reached(&self) -> (&str, i64) {
        (&self.reached.0, self.reached.1)
    }

    /// Takes a message in; says whether there is anything new that counts from now on.
    pub(super) fn take(&mut self, message: WatchResponse) -> bool {
        if message.snapshot {
            self.coming = Some(HashMap::new());
        }
        let says_something = !message.credentials.is_empty() || !message.gone.is_empty() || self.coming.is_some();
        let into = self.coming.as_mut().unwrap_or(&mut self.known);
        for id in message.gone {
            into.remove(&id);
        }
        into.extend(message.credentials.into_iter().map(|credential| (credential.id.clone(), credential)));
        if message.complete {
            if let Some(whole) = self.coming.take() {
                self.known = whole;
            }
            self.reached = (message.origin, message.revision);
        }
        // Of a snapshot that is not whole nothing counts.
        says_something && self.coming.is_none()
    }

    /// Everything in one message, as it is kept.
    pub(super) fn whole(&self) -> WatchResponse {
        let credentials = self.known.values().cloned().collect();
        let (origin, revision) = self.reached.clone();
        WatchResponse { origin, revision, snapshot: true, credentials, complete: true, ..Default::default() }
    }

    /// The same, for looking up. What cannot be read is left out, and nobody is let in with it.
    pub(super) fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        for credential in self.known.values() {
            if let Err((field, why)) = add(&mut keys, credential) {
                tracing::error!(
                    credential = credential.full_name,
                    field,
                    why,
                    "a credential of the accounts cannot be read; it is left out"
                );
            }
        }
        keys
    }
}

fn add(keys: &mut Keys, told: &KnownCredential) -> Result<(), (&'static str, String)> {
    let hash = Hash::try_from(&*told.sha256).map_err(|_| ("sha256", format!("has {} bytes", told.sha256.len())))?;
    let patterns = |models: &Option<Models>| models.as_ref().map(|models| models.patterns.clone());
    let own = Rights::read(&told.tenant, Some(&told.scopes), patterns(&told.models).as_deref())?;
    let tenants = Rights::read(&told.tenant, None, patterns(&told.tenant_models).as_deref())?;
    let stopped = (!told.stopped.is_empty()).then(|| told.stopped.as_str().into());
    let rights = Rights { models: own.models.and(tenants.models), stopped, ..own };
    // The beginning of the second that it ends in.
    let expires = Some(told.expires_unix_ms.unsigned_abs() / 1000).filter(|_| told.expires_unix_ms != 0);
    match told.kind() {
        Kind::ApiKey => keys.let_in(hash, rights.of(told.full_name.as_str(), CredentialKind::ApiKey), expires),
        Kind::OauthClient => keys.give_tokens(&told.full_name, hash, rights, expires),
        Kind::Unspecified => return Err(("kind", "is none that is known".to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::access::Scope;

    use super::{super::super::keys::Found, *};

    fn credential(id: u8) -> KnownCredential {
        KnownCredential {
            id: id.to_string(),
            kind: Kind::ApiKey.into(),
            full_name: format!("acme/{id}"),
            tenant: "acme".into(),
            sha256: vec![id; 32],
            scopes: vec!["infer".into()],
            ..Default::default()
        }
    }

    fn message(snapshot: bool, known: &[u8], gone: &[u8], complete: bool) -> WatchResponse {
        let credentials = known.iter().map(|id| credential(*id)).collect();
        let gone = gone.iter().map(u8::to_string).collect();
        WatchResponse { origin: "o".into(), revision: 1, snapshot, credentials, gone, complete, ..Default::default() }
    }

    fn knows(roll: &Roll, id: u8) -> bool {
        matches!(roll.keys().find(&[id; 32], 0), Found::Good(_))
    }

    #[test]
    fn a_snapshot_counts_when_it_is_whole_and_what_was_known_before_until_then() {
        let mut roll = Roll::default();
        assert!(roll.take(message(true, &[1], &[], true)));
        assert!(!roll.take(message(true, &[2], &[], false)), "half of it says nothing yet");
        assert!(knows(&roll, 1) && !knows(&roll, 2));
        assert!(roll.take(message(false, &[3], &[], true)));
        assert!(!knows(&roll, 1) && knows(&roll, 2) && knows(&roll, 3));
        assert!(!roll.take(message(false, &[], &[], true)), "a heartbeat is nothing new");
        assert!(roll.take(message(false, &[], &[2], true)) && !knows(&roll, 2));
    }

    #[test]
    fn a_key_may_what_both_it_and_its_tenant_may() {
        let mut told = credential(1);
        told.models = Some(Models { patterns: vec!["mini*".into()] });
        told.tenant_models = Some(Models { patterns: vec!["*lm".into()] });
        told.expires_unix_ms = 5_999;
        let mut roll = Roll::default();
        roll.take(WatchResponse { credentials: vec![told], complete: true, ..Default::default() });
        let keys = roll.keys();
        let Found::Good(principal) = keys.find(&[1; 32], 4) else { panic!("it is known") };
        assert!(principal.models.allow("minilm") && !principal.models.allow("mini") && !principal.models.allow("smollm"));
        assert!(principal.scopes.has(Scope::Infer) && !principal.scopes.has(Scope::ModelsRead));
        assert_eq!((&*principal.credential, keys.find(&[1; 32], 5)), ("acme/1", Found::Expired));
    }

    #[test]
    fn a_tenant_that_was_stopped_is_known_with_the_reason_until_it_goes_on() {
        let mut roll = Roll::default();
        for why in ["the prepaid credit is used up", ""] {
            let told = KnownCredential { stopped: why.into(), ..credential(1) };
            roll.take(WatchResponse { credentials: vec![told], complete: true, ..Default::default() });
            let keys = roll.keys();
            let Found::Good(principal) = keys.find(&[1; 32], 0) else { panic!("it is known") };
            assert_eq!(principal.stopped.as_deref(), Some(why).filter(|why| !why.is_empty()));
        }
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        for wrong in [
            KnownCredential { scopes: vec!["everything".into()], ..credential(1) },
            KnownCredential { kind: 0, ..credential(1) },
            KnownCredential { tenant: "a b".into(), ..credential(1) },
            KnownCredential { tenant_models: Some(Models { patterns: vec!["a b".into()] }), ..credential(1) },
        ] {
            let mut roll = Roll::default();
            roll.take(WatchResponse { credentials: vec![wrong, credential(2)], complete: true, ..Default::default() });
            assert!(!knows(&roll, 1) && knows(&roll, 2));
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_is_known(told in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0_u8..9, 0..4), proptest::collection::vec(0_u8..9, 0..4)), 0..8)) {
            let mut roll = Roll::default();
            for (snapshot, known, gone) in &told {
                roll.take(message(*snapshot, known, gone, true));
            }
            let mut again = Roll::default();
            again.take(roll.whole());
            prop_assert_eq!(again.reached(), roll.reached());
            for id in 0..9 {
                prop_assert_eq!(knows(&again, id), knows(&roll, id));
            }
        }
    }
}
