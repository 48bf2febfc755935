//! What the enumerations of messages stand for.

use torchmesh_api::accounts::v1::{self as api, UsageBy};

use crate::{
    access::Role,
    credentials::Kind,
    error::{Refusal, Result},
    tenants::State,
    usage::By,
};

/// A tenant's state, if one is said.
pub(super) fn state(told: i32) -> Result<Option<State>> {
    match api::TenantState::try_from(told) {
        Ok(api::TenantState::Unspecified) => Ok(None),
        Ok(api::TenantState::Active) => Ok(Some(State::Active)),
        Ok(api::TenantState::Suspended) => Ok(Some(State::Suspended)),
        Ok(api::TenantState::Closed) => Ok(Some(State::Closed)),
        Err(_) => Err(Refusal::Invalid("state: is not one that there is".to_owned())),
    }
}

/// The kind of a credential.
pub(super) fn kind(told: i32) -> Result<Kind> {
    match api::CredentialKind::try_from(told) {
        Ok(api::CredentialKind::ApiKey) => Ok(Kind::ApiKey),
        Ok(api::CredentialKind::OauthClient) => Ok(Kind::OauthClient),
        _ => Err(Refusal::Invalid("kind: must be an API key or an OAuth client".to_owned())),
    }
}

/// A role, if one is said.
pub(super) fn role(told: i32) -> Result<Option<Role>> {
    match api::Role::try_from(told) {
        Ok(api::Role::Unspecified) => Ok(None),
        Ok(api::Role::Owner) => Ok(Some(Role::Owner)),
        Ok(api::Role::Admin) => Ok(Some(Role::Admin)),
        Ok(api::Role::Developer) => Ok(Some(Role::Developer)),
        Ok(api::Role::Billing) => Ok(Some(Role::Billing)),
        Ok(api::Role::Viewer) => Ok(Some(Role::Viewer)),
        Err(_) => Err(Refusal::Invalid("role: is not one that there is".to_owned())),
    }
}

/// What tells sums from each other.
pub(super) fn by(told: i32) -> Result<By> {
    match UsageBy::try_from(told) {
        Ok(UsageBy::Tenant) => Ok(By::Tenant),
        Ok(UsageBy::Credential) => Ok(By::Credential),
        Ok(UsageBy::Model) => Ok(By::Model),
        Ok(UsageBy::Version) => Ok(By::Version),
        Ok(UsageBy::Day) => Ok(By::Day),
        Ok(UsageBy::Hour) => Ok(By::Hour),
        _ => Err(Refusal::Invalid("by: must be tenant, credential, model, version, day or hour".to_owned())),
    }
}
