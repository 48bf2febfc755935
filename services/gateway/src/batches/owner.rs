//! Whose a batch is, as it is written down: enough to make its calls in their name, and no secret.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    ids::TenantId,
};

use crate::identity::{CredentialKind, Principal};

/// A [`Principal`], written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    tenant: String,
    credential: String,
    kind: Kind,
    scopes: String,
    models: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    ApiKey,
    OauthClient,
    Jwt,
    Mtls,
}

impl Owner {
    /// `None` for a credential whose models are what two lists have in common, which cannot be written as one.
    pub(super) fn of(principal: &Principal) -> Option<Self> {
        if matches!(principal.models, ModelGrants::Both(_)) {
            return None;
        }
        let kind = match principal.kind {
            CredentialKind::ApiKey => Kind::ApiKey,
            CredentialKind::OauthClient => Kind::OauthClient,
            CredentialKind::Jwt => Kind::Jwt,
            CredentialKind::Mtls => Kind::Mtls,
        };
        Some(Self {
            tenant: principal.tenant.to_string(),
            credential: principal.credential.to_string(),
            kind,
            scopes: principal.scopes.to_string(),
            models: principal.models.patterns().into_iter().map(str::to_owned).collect(),
        })
    }

    /// Who it is; `None` where what is written is none of ours.
    pub(super) fn principal(&self) -> Option<Arc<Principal>> {
        let kind = match self.kind {
            Kind::ApiKey => CredentialKind::ApiKey,
            Kind::OauthClient => CredentialKind::OauthClient,
            Kind::Jwt => CredentialKind::Jwt,
            Kind::Mtls => CredentialKind::Mtls,
        };
        let scopes = Scopes::parse(self.scopes.split_whitespace()).ok()?;
        let models = ModelGrants::parse(self.models.iter().map(String::as_str)).ok()?;
        Some(Arc::new(Principal::new(TenantId::parse(&self.tenant).ok()?, self.credential.as_str(), kind, scopes, models)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_written_down_is_read_again() {
        let grants = |patterns: &[&str]| ModelGrants::parse(patterns.iter().copied()).unwrap();
        for (kind, models) in [
            (CredentialKind::ApiKey, ModelGrants::All),
            (CredentialKind::Jwt, grants(&["mini*", "smollm2"])),
            (CredentialKind::Mtls, grants(&[])),
            (CredentialKind::OauthClient, grants(&["a"])),
        ] {
            let whole = Principal::new(TenantId::parse("acme").unwrap(), "issuer|somebody", kind, Scopes::USUAL, models);
            let text = serde_json::to_string(&Owner::of(&whole).unwrap()).unwrap();
            assert_eq!(*serde_json::from_str::<Owner>(&text).unwrap().principal().unwrap(), whole);
        }
    }
}
