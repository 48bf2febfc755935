//! What an entry of the keys file gives, and the fields that every kind of entry has.

use std::{sync::Arc, time::UNIX_EPOCH};

use torchmesh_api::{
    access::{ModelGrants, Scopes},
    ids::TenantId,
};

use super::principal::{CredentialKind, Principal};

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What every kind of entry gives.
#[derive(Debug, Clone)]
pub(super) struct Rights {
    /// Who pays.
    pub(super) tenant: TenantId,
    /// What may be done.
    pub(super) scopes: Scopes,
    /// With which models.
    pub(super) models: ModelGrants,
    /// Why calls to models are refused all the same.
    pub(super) stopped: Option<Arc<str>>,
}

impl Rights {
    /// Reads the fields; the error says which is wrong.
    pub(super) fn read(tenant: &str, scopes: Option<&[String]>, models: Option<&[String]>) -> Result<Self, (&'static str, String)> {
        let tenant = TenantId::parse(tenant).map_err(|error| ("tenant", error.to_string()))?;
        let scopes = scopes.map_or(Ok(Scopes::USUAL), |list| Scopes::parse(list.iter().map(String::as_str)));
        let models = models.map_or(Ok(ModelGrants::All), |list| ModelGrants::parse(list.iter().map(String::as_str)));
        Ok(Self {
            tenant,
            scopes: scopes.map_err(|error| ("scopes", error.to_string()))?,
            models: models.map_err(|error| ("models", error.to_string()))?,
            stopped: None,
        })
    }

    /// Those that somebody has.
    pub(super) fn of_principal(principal: &Principal) -> Self {
        let Principal { tenant, scopes, models, stopped, .. } = principal.clone();
        Self { tenant, scopes, models, stopped }
    }

    /// Who has them.
    pub(super) fn of(self, credential: impl Into<Arc<str>>, kind: CredentialKind) -> Principal {
        Principal { stopped: self.stopped, ..Principal::new(self.tenant, credential, kind, self.scopes, self.models) }
    }
}

/// When an entry ends, in seconds since 1970.
pub(super) fn expiry(told: Option<&toml::value::Datetime>) -> Result<Option<u64>, (&'static str, String)> {
    let Some(told) = told else { return Ok(None) };
    let instant = humantime::parse_rfc3339(&told.to_string()).ok();
    let seconds = instant.and_then(|instant| instant.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    let expected = || ("expires", format!("must be a time in UTC such as 2027-01-31T12:00:00Z, not {told}"));
    seconds.ok_or_else(expected).map(Some)
}

/// Reads a SHA-256 as `sha256sum` writes it.
pub(super) fn hash_from_hex(text: &str) -> Result<Hash, String> {
    let mut hash = [0; 32];
    let wrong = || "must be 64 hexadecimal digits".to_owned();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_is_read_as_it_is_written_and_nothing_else_is_one(hash: Hash, other in ".{0,70}") {
            let text = hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            prop_assert_eq!(hash_from_hex(&text), Ok(hash));
            prop_assert_eq!(hash_from_hex(&text.to_uppercase()), Ok(hash));
            prop_assert!(hash_from_hex(&other).is_err() || other.len() == 64);
        }
    }
}
