//! What is kept, as messages.

use torchmesh_api::accounts::v1::{self as api};

use crate::{
    access::Role,
    credentials::{self, Credential, Kind, Known},
    error::Result,
    people::Member,
    tenants::{State, Tenant},
    usage::Sum,
};

/// Words with blanks between.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn models(patterns: &str) -> api::Models {
    api::Models { patterns: words(patterns) }
}

fn kind(kind: Kind) -> api::CredentialKind {
    match kind {
        Kind::ApiKey => api::CredentialKind::ApiKey,
        Kind::OauthClient => api::CredentialKind::OauthClient,
    }
}

pub(super) fn tenant(tenant: Tenant) -> api::Tenant {
    let state = match tenant.state {
        State::Active => api::TenantState::Active,
        State::Suspended => api::TenantState::Suspended,
        State::Closed => api::TenantState::Closed,
    };
    api::Tenant {
        state: state.into(),
        models: Some(models(&tenant.models)),
        erased_unix_ms: tenant.erased_ms.unwrap_or_default(),
        id: tenant.id,
        name: tenant.name,
        display_name: tenant.display_name,
        created_unix_ms: tenant.created_ms,
    }
}

pub(super) fn credential(told: Credential) -> api::Credential {
    api::Credential {
        full_name: told.full_name(),
        kind: kind(told.kind).into(),
        scopes: words(&told.scopes),
        models: told.models.as_deref().map(models),
        id: told.id,
        tenant_id: told.tenant_id,
        name: told.name,
        hint: told.hint,
        created_unix_ms: told.created_ms,
        expires_unix_ms: told.expires_ms.unwrap_or_default(),
        revoked_unix_ms: told.revoked_ms.unwrap_or_default(),
        last_used_unix_ms: told.last_used_ms.unwrap_or_default(),
    }
}

pub(super) fn known(told: &Known) -> Result<api::KnownCredential> {
    Ok(api::KnownCredential {
        id: told.id.clone(),
        kind: kind(told.kind).into(),
        full_name: told.full_name.clone(),
        tenant: told.tenant.clone(),
        sha256: credentials::bytes(&told.sha256)?,
        scopes: words(&told.scopes),
        models: told.models.as_deref().map(models),
        tenant_models: Some(models(&told.tenant_models)),
        expires_unix_ms: told.expires_ms.unwrap_or_default(),
        stopped: told.stopped.clone(),
    })
}

pub(super) fn member(member: Member) -> api::Member {
    let role = match member.role {
        Role::Owner => api::Role::Owner,
        Role::Admin => api::Role::Admin,
        Role::Developer => api::Role::Developer,
        Role::Billing => api::Role::Billing,
        Role::Viewer => api::Role::Viewer,
    };
    api::Member {
        role: role.into(),
        id: member.id,
        tenant_id: member.tenant_id,
        email: member.email,
        verified_unix_ms: member.verified_ms.unwrap_or_default(),
        created_unix_ms: member.created_ms,
    }
}

pub(super) fn sum(sum: Sum) -> api::UsageSum {
    let [tenant, credential, model, version] = sum.names;
    let [calls, failed, prompt_tokens, cached_tokens, completion_tokens, items, audio_ms, bytes_in, bytes_out, compute_us] = sum.figures;
    api::UsageSum {
        tenant,
        credential,
        model,
        version,
        begin_unix_ms: sum.begin_ms,
        calls,
        failed,
        prompt_tokens,
        cached_tokens,
        completion_tokens,
        items,
        audio_ms,
        bytes_in,
        bytes_out,
        compute_us,
    }
}
