//! The keys file: who may call, by the hashes of what they show, never by the secrets.
//!
//! ```toml
//! [[key]]                           # an API key
//! name = "search"                   # in logs and bills; entries that a rotation overlaps share it
//! tenant = "acme"
//! sha256 = "9f86d081…"              # of the whole key, 64 hexadecimal digits
//! scopes = ["infer", "models:read"] # these when absent
//! models = ["smollm2", "mini*"]     # every model when absent
//! expires = 2027-01-01T00:00:00Z    # never when absent
//!
//! [[client]]                        # an OAuth client: the name is its id, the hash is that of its secret; the fields are those of a key
//! name = "batch"
//! tenant = "acme"
//! sha256 = "60303ae2…"
//!
//! [[workload]]                      # whoever shows a client certificate with such a SPIFFE id
//! spiffe = "spiffe://example.org/ns/*/sa/api"
//! tenant = "acme"
//! ```

use std::{collections::HashMap, path::Path, sync::Arc};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use torchmesh_api::ids::TenantId;

use super::{
    principal::{CredentialKind, Principal},
    rights::{Hash, Rights, expiry, hash_from_hex},
    spiffe::{Pattern, SpiffeId},
};

/// What one reading of the file says.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_hash: HashMap<Hash, Kept>,
    clients: HashMap<String, Vec<Client>>,
    workloads: Vec<(Pattern, Rights)>,
}

/// A secret of an OAuth client; while a rotation lasts it has two.
#[derive(Debug)]
struct Client {
    hash: Hash,
    rights: Rights,
    expires: Option<u64>,
}

#[derive(Debug)]
struct Kept {
    principal: Arc<Principal>,
    expires: Option<u64>,
}

/// What is known of a key that was shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// It is good.
    Good(&'a Arc<Principal>),
    /// Its time is over.
    Expired,
    /// It is not listed.
    Unknown,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    key: Vec<KeyEntry>,
    #[serde(default)]
    client: Vec<KeyEntry>,
    #[serde(default)]
    workload: Vec<WorkloadEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadEntry {
    spiffe: String,
    tenant: String,
    scopes: Option<Vec<String>>,
    models: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    name: String,
    tenant: String,
    sha256: String,
    /// What `meshctl keys list` shows; the key itself says it too.
    #[serde(rename = "id")]
    _id: Option<String>,
    scopes: Option<Vec<String>>,
    models: Option<Vec<String>>,
    expires: Option<toml::value::Datetime>,
}

impl Keys {
    /// Reads the file's text; the error names the entry and the field.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let listing: Listing = toml::from_str(text).map_err(|error| error.to_string())?;
        let (mut read, mut tenants) = (Self::default(), HashMap::new());
        for (at, entry) in listing.key.into_iter().enumerate() {
            read.add_key(entry, &mut tenants).map_err(|(field, why)| format!("key[{at}].{field}: {why}"))?;
        }
        for (at, entry) in listing.client.into_iter().enumerate() {
            read.add_client(entry).map_err(|(field, why)| format!("client[{at}].{field}: {why}"))?;
        }
        for (at, entry) in listing.workload.into_iter().enumerate() {
            let wrong = |(field, why): (&str, String)| format!("workload[{at}].{field}: {why}");
            let pattern = Pattern::parse(&entry.spiffe).map_err(|why| wrong(("spiffe", why)))?;
            let rights = Rights::read(&entry.tenant, entry.scopes.as_deref(), entry.models.as_deref()).map_err(wrong)?;
            read.workloads.push((pattern, rights));
        }
        Ok(read)
    }

    fn add_key(&mut self, entry: KeyEntry, tenants: &mut HashMap<String, TenantId>) -> Result<(), (&'static str, String)> {
        let Secret { name, hash, rights, expires } = entry.read()?;
        // Limits and bills go by the name: two tenants must not share one.
        if *tenants.entry(name.clone()).or_insert_with(|| rights.tenant.clone()) != rights.tenant {
            return Err(("name", format!("{name:?} is the name of another tenant's key already; choose another one")));
        }
        let principal = Arc::new(rights.of(name, CredentialKind::ApiKey));
        match self.by_hash.insert(hash, Kept { principal, expires }) {
            Some(_) => Err(("sha256", "the same key is listed twice".to_owned())),
            None => Ok(()),
        }
    }

    fn add_client(&mut self, entry: KeyEntry) -> Result<(), (&'static str, String)> {
        let Secret { name, hash, rights, expires } = entry.read()?;
        let secrets = self.clients.entry(name.clone()).or_default();
        if secrets.iter().any(|secret| secret.rights.tenant != rights.tenant) {
            return Err(("name", format!("{name:?} is the name of another tenant's client already; choose another one")));
        }
        secrets.push(Client { hash, rights, expires });
        Ok(())
    }

    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Whom the key with this hash stands for at `now`, in seconds since 1970.
    ///
    /// The hash of what was sent is looked up, so the time taken tells nothing about how much of a key was right.
    pub(super) fn find(&self, hash: &Hash, now: u64) -> Found<'_> {
        match self.by_hash.get_key_value(hash) {
            Some((known, kept)) if bool::from(known.ct_eq(hash)) => {
                if kept.expires.is_some_and(|expires| expires <= now) {
                    return Found::Expired;
                }
                Found::Good(&kept.principal)
            }
            _ => Found::Unknown,
        }
    }

    /// Whom a good key of this name stands for.
    pub(super) fn named(&self, name: &str, tenant: &TenantId, now: u64) -> Option<&Arc<Principal>> {
        let good = |kept: &&Kept| kept.expires.is_none_or(|expires| now < expires);
        let named = self.by_hash.values().filter(|kept| *kept.principal.credential == *name && kept.principal.tenant == *tenant);
        named.filter(good).map(|kept| &kept.principal).next()
    }

    /// What a client may do that shows this secret.
    pub(super) fn client(&self, name: &str, secret: &[u8], now: u64) -> Option<&Rights> {
        let hash: Hash = Sha256::digest(secret).into();
        let secrets = self.clients.get(name)?;
        secrets.iter().find(|client| client.is_good(now) && bool::from(client.hash.ct_eq(&hash))).map(|client| &client.rights)
    }

    /// What a client may do that was given a token before, and until when; `None` when none of its secrets is good any more.
    pub(super) fn client_now(&self, name: &str, now: u64) -> Option<(&Rights, u64)> {
        let good = self.clients.get(name)?.iter().filter(|client| client.is_good(now));
        good.map(|client| (&client.rights, client.expires.unwrap_or(u64::MAX))).max_by_key(|(_, expires)| *expires)
    }

    /// What a workload may do: as the first entry says that fits.
    pub(super) fn workload(&self, id: SpiffeId<'_>) -> Option<&Rights> {
        self.workloads.iter().find(|(pattern, _)| pattern.fits(id)).map(|(_, rights)| rights)
    }

    /// Adds a key that the accounts have told.
    pub(super) fn let_in(&mut self, hash: Hash, principal: Principal, expires: Option<u64>) {
        self.by_hash.insert(hash, Kept { principal: Arc::new(principal), expires });
    }

    /// Adds a client's secret that the accounts have told.
    pub(super) fn give_tokens(&mut self, name: &str, hash: Hash, rights: Rights, expires: Option<u64>) {
        self.clients.entry(name.to_owned()).or_default().push(Client { hash, rights, expires });
    }

    /// How many keys there are.
    pub(super) fn count(&self) -> usize {
        self.by_hash.len()
    }
}

impl Client {
    fn is_good(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// What is common to keys and clients, checked.
struct Secret {
    name: String,
    hash: Hash,
    rights: Rights,
    expires: Option<u64>,
}

impl KeyEntry {
    fn read(self) -> Result<Secret, (&'static str, String)> {
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            return Err(("name", "must have 1 to 128 characters".to_owned()));
        }
        let hash = hash_from_hex(&self.sha256).map_err(|why| ("sha256", why))?;
        let rights = Rights::read(&self.tenant, self.scopes.as_deref(), self.models.as_deref())?;
        Ok(Secret { name: self.name, hash, rights, expires: expiry(self.expires.as_ref())? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::access::{ModelGrants, Scope, Scopes};

    use super::*;

    fn entry(key: &str, tenant: &str, more: &str) -> String {
        let hash = Sha256::digest(key).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        format!("[[key]]\nname = 'n-{tenant}'\ntenant = '{tenant}'\nsha256 = '{hash}'\n{more}\n")
    }

    fn find<'a>(keys: &'a Keys, key: &str, now: u64) -> Found<'a> {
        keys.find(&Sha256::digest(key).into(), now)
    }

    fn tenant<'a>(keys: &'a Keys, key: &str, now: u64) -> Option<&'a str> {
        match find(keys, key, now) {
            Found::Good(principal) => Some(principal.tenant.as_str()),
            _ => None,
        }
    }

    #[test]
    fn a_listed_key_is_found_and_nothing_else_is() {
        let keys = Keys::parse(&(entry("tm_a", "acme", "") + &entry("tm_b", "bolt", ""))).unwrap();
        assert_eq!(tenant(&keys, "tm_b", 0), Some("bolt"));
        for wrong in ["", "tm_", "tm_c", "tm_b ", "TM_B"] {
            assert_eq!(find(&keys, wrong, 0), Found::Unknown, "{wrong:?} was let in");
        }
    }

    #[test]
    fn a_key_may_what_it_says_and_the_usual_when_it_says_nothing() {
        let some = entry("a", "acme", "scopes = ['models:write']\nmodels = ['mini*']");
        let keys = Keys::parse(&(some + &entry("b", "bolt", ""))).unwrap();
        let Found::Good(a) = find(&keys, "a", 0) else { panic!("the key is listed") };
        assert!(a.scopes.has(Scope::ModelsWrite) && !a.scopes.has(Scope::Infer) && a.models.allow("minilm") && !a.models.allow("spam"));
        let Found::Good(b) = find(&keys, "b", 0) else { panic!("the key is listed") };
        assert_eq!((b.scopes, &b.models), (Scopes::USUAL, &ModelGrants::All));
    }

    #[test]
    fn a_key_ends_at_its_time_and_both_keys_of_a_rotation_are_good_until_then() {
        let text = entry("old", "acme", "expires = 1970-01-01T00:01:40Z") + &entry("new", "acme", "");
        let keys = Keys::parse(&text).unwrap();
        assert_eq!((tenant(&keys, "old", 99), tenant(&keys, "new", 99)), (Some("acme"), Some("acme")));
        assert_eq!((find(&keys, "old", 100), tenant(&keys, "new", 100)), (Found::Expired, Some("acme")));
    }

    #[test]
    fn a_client_is_known_by_its_secret_and_is_gone_when_all_of_its_secrets_are() {
        let of = |key: &str, more: &str| entry(key, "acme", more).replace("[[key]]", "[[client]]");
        let keys = Keys::parse(&(of("old", "expires = 1970-01-01T00:01:40Z\nscopes = ['admin']") + &of("new", ""))).unwrap();
        assert!(keys.client("n-acme", b"old", 99).is_some() && keys.client("n-acme", b"old", 100).is_none());
        assert!(
            keys.client("n-acme", b"new", 100).is_some()
                && keys.client("n-acme", b"", 0).is_none()
                && keys.client("x", b"new", 0).is_none()
        );
        assert_eq!(keys.client_now("n-acme", 100).unwrap().0.scopes, Scopes::USUAL);
        let ending = Keys::parse(&of("old", "expires = 1970-01-01T00:01:40Z")).unwrap();
        assert!(ending.client_now("n-acme", 99).is_some() && ending.client_now("n-acme", 100).is_none());
        assert_eq!(find(&keys, "new", 0), Found::Unknown, "a client's secret is no API key");
    }

    #[test]
    fn a_workload_may_what_the_first_entry_says_that_fits() {
        let text =
            "[[workload]]\nspiffe = 'spiffe://a/x'\ntenant = 'one'\n[[workload]]\nspiffe = 'spiffe://a/**'\ntenant = 'two'\nscopes = []\n";
        let keys = Keys::parse(text).unwrap();
        let tenant = |id: &str| keys.workload(SpiffeId::parse(id).unwrap()).map(|rights| rights.tenant.to_string());
        assert_eq!(
            (tenant("spiffe://a/x").as_deref(), tenant("spiffe://a/y").as_deref(), tenant("spiffe://b/x")),
            (Some("one"), Some("two"), None)
        );
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let shared = |tenant: &str| entry(tenant, tenant, "").replace(&format!("n-{tenant}"), "n");
        for (text, part) in [
            ("[[key]]\nname='n'\ntenant='t'\nsha256='12'".to_owned(), "key[0].sha256"),
            (entry("a", "not a tenant", ""), "key[0].tenant"),
            (entry("a", "t", "") + &entry("a", "t", ""), "key[1].sha256"),
            ("[[key]]\nsecret='s'".to_owned(), "secret"),
            (entry("a", "t", "scopes = ['write']"), "key[0].scopes"),
            (entry("a", "t", "models = ['a b']"), "key[0].models"),
            (entry("a", "t", "expires = 2027-01-01"), "key[0].expires"),
            (shared("a") + &shared("b"), "key[1].name"),
            ((shared("a") + &shared("b")).replace("[[key]]", "[[client]]"), "client[1].name"),
            ("[[workload]]\nspiffe = 'spiffe://*/a'\ntenant = 't'".to_owned(), "workload[0].spiffe"),
        ] {
            let error = Keys::parse(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_text_is_read_or_refused(text in "(\\[\\[key\\]\\]\n|name|tenant|sha256|expires|scopes|models| = |'[a-f0-9]{0,70}'|\\['[a-z:*]*'\\]|[0-9T:Z-]{0,22}|\n){0,24}") {
            let _ = Keys::parse(&text);
        }
    }
}
