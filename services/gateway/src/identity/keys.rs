//! API keys from a TOML file that holds their hashes, never the keys:
//!
//! ```toml
//! [[key]]
//! name = "dev"
//! tenant = "dev"
//! sha256 = "9f86d081…"   # of the whole key, 64 hexadecimal digits
//! ```

use std::{collections::HashMap, path::Path, sync::Arc};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    ids::TenantId,
};

use super::principal::{CredentialKind, Principal};

/// The keys of one reading of the file.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<[u8; 32], Arc<Principal>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    tenant: String,
    sha256: String,
}

impl Keys {
    /// Reads the file's text; the error names the entry and the field.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let listing: Listing = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut keys = HashMap::with_capacity(listing.key.len());
        for (at, entry) in listing.key.into_iter().enumerate() {
            let hash = hash_from_hex(&entry.sha256).ok_or_else(|| format!("key[{at}].sha256: must be 64 hexadecimal digits"))?;
            let tenant = TenantId::parse(&entry.tenant).map_err(|error| format!("key[{at}].tenant: {error}"))?;
            let principal = Principal::new(tenant, entry.name, CredentialKind::ApiKey, Scopes::USUAL, ModelGrants::All);
            if keys.insert(hash, Arc::new(principal)).is_some() {
                return Err(format!("key[{at}].sha256: the same key is listed twice"));
            }
        }
        Ok(Self(keys))
    }

    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Who the key stands for.
    ///
    /// The hash of what was sent is looked up, so the time taken tells nothing about how much of a key was right.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Arc<Principal>> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let (known, principal) = self.0.get_key_value(&hash)?;
        bool::from(known.ct_eq(&hash)).then_some(principal)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

fn hash_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, tenant: &str) -> String {
        let hash = Sha256::digest(key).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        format!("[[key]]\nname = 'n'\ntenant = '{tenant}'\nsha256 = '{hash}'\n")
    }

    #[test]
    fn a_listed_key_is_found_and_nothing_else_is() {
        let keys = Keys::parse(&(entry("tm_a", "acme") + &entry("tm_b", "bolt"))).unwrap();
        assert_eq!(keys.find(b"tm_b").unwrap().tenant.as_str(), "bolt");
        for wrong in ["", "tm_", "tm_c", "tm_b ", "TM_B"] {
            assert!(keys.find(wrong.as_bytes()).is_none(), "{wrong:?} was let in");
        }
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for (text, part) in [
            ("[[key]]\nname='n'\ntenant='t'\nsha256='12'".to_owned(), "key[0].sha256"),
            (entry("a", "not a tenant"), "key[0].tenant"),
            (entry("a", "t") + &entry("a", "t"), "key[1].sha256"),
            ("[[key]]\nsecret='s'".to_owned(), "secret"),
        ] {
            let error = Keys::parse(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
