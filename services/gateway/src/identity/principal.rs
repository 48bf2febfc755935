//! Who calls.

use std::sync::Arc;

use http::HeaderValue;
use torchmesh_api::{
    access::{ModelGrants, Scopes},
    ids::TenantId,
};

/// Who calls, as every later layer reads it: an `Arc<Principal>` in the extensions of each request that was admitted. The paths that anybody may
/// ask have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who pays.
    pub tenant: TenantId,
    /// The tenant, for the header that tells the mesh.
    pub tenant_header: HeaderValue,
    /// What names the credential in logs, limits and bills, and is never a secret: an API key's name, an OAuth client's id, `issuer|subject` of a
    /// token, a SPIFFE id.
    pub credential: Arc<str>,
    /// What was shown.
    pub kind: CredentialKind,
    /// What it may do.
    pub scopes: Scopes,
    /// Which models it may use.
    pub models: ModelGrants,
    /// Why its calls to models are refused though it is good: what its tenant has paid for is used up, as the accounts say.
    pub stopped: Option<Arc<str>>,
}

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A key of the keys file.
    ApiKey,
    /// A token that the gateway gave an OAuth client of the keys file.
    OauthClient,
    /// A token of an issuer that the gateway trusts.
    Jwt,
    /// A client certificate with a SPIFFE id.
    Mtls,
}

impl Principal {
    /// Puts one together.
    pub fn new(tenant: TenantId, credential: impl Into<Arc<str>>, kind: CredentialKind, scopes: Scopes, models: ModelGrants) -> Self {
        // A tenant id has only characters that a header's value may have.
        let tenant_header = HeaderValue::try_from(tenant.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { tenant, tenant_header, credential: credential.into(), kind, scopes, models, stopped: None }
    }
}
