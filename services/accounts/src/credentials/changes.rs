//! Making, rotating and revoking credentials.

use torchmesh_api::access::Scopes;

use super::{Credential, Kind, find, scopes};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    ids, secrets,
    store::{Change, Store, Told},
    tenants::{self, State, Tenant},
    webhooks::{self, Event, Kind as Happened},
};

/// The longest overlap of a rotation.
const LONGEST_OVERLAP_MS: i64 = 90 * 24 * 3600 * 1000;

/// What a new credential is to be.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its name within the tenant.
    pub name: &'a str,
    /// What it may do; the usual when empty.
    pub scopes: &'a [String],
    /// With which models; all of the tenant's when absent.
    pub models: Option<&'a [String]>,
    /// When it ends, in milliseconds since 1970; never when 0.
    pub expires_ms: i64,
}

/// Makes one; gives its secret, too, which is not kept.
pub async fn create(store: &Store, asker: &Asker, tenant: &Tenant, new: New<'_>, now: i64) -> Result<(Credential, String)> {
    asker.may(Act::ChangeCredentials)?;
    let allowed = scopes(new.scopes)?;
    // What changes models changes them for all tenants.
    if *asker != Asker::Operator && !Scopes::USUAL.covers(allowed) {
        return Err(Refusal::Denied(format!("scopes: only operators give more than {}", Scopes::USUAL)));
    }
    if tenant.state != State::Active {
        return Err(Refusal::State(format!("the tenant is {}", tenant.state.as_str())));
    }
    check_name(new.name)?;
    let expires_ms = Some(new.expires_ms).filter(|expires| *expires != 0);
    if expires_ms.is_some_and(|expires| expires <= now) {
        return Err(Refusal::Invalid("expires_unix_ms: must be in the future; 0 is never".to_owned()));
    }
    let models = new.models.map(tenants::models).transpose()?;
    let mut change = Change::begin(store, asker, now).await?;
    let taken =
        "SELECT id FROM credentials WHERE tenant_id = $1 AND name = $2 AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $3)";
    let taken = sqlx::query(taken).bind(tenant.id.clone()).bind(new.name.to_owned()).bind(now);
    if taken.fetch_optional(change.connection()).await?.is_some() {
        return Err(Refusal::Exists(format!(
            "name: the tenant has a credential named {:?}; rotate that one, or choose another name",
            new.name
        )));
    }
    let credential = Credential {
        id: ids::new(now),
        tenant_id: tenant.id.clone(),
        tenant: tenant.name.clone(),
        kind: new.kind,
        name: new.name.to_owned(),
        hint: String::new(),
        scopes: allowed.to_string(),
        models,
        created_ms: now,
        expires_ms,
        revoked_ms: None,
        last_used_ms: None,
    };
    let (credential, secret) = add(&mut change, credential).await?;
    tell(change, &credential, Happened::KeyCreated, &credential.scopes).await?;
    Ok((credential, secret))
}

/// Draws a secret for a credential and keeps its hash.
async fn add(change: &mut Change, mut credential: Credential) -> Result<(Credential, String)> {
    let drawn = secrets::draw(None)?;
    credential.hint = format!("tm_{}_", drawn.id);
    let row = "INSERT INTO credentials (id, tenant_id, kind, name, hint, sha256, scopes, models, created_ms, expires_ms, revision) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let row = sqlx::query(row).bind(credential.id.clone()).bind(credential.tenant_id.clone()).bind(credential.kind.as_str());
    let row = row.bind(credential.name.clone()).bind(credential.hint.clone()).bind(secrets::hash(&drawn.key));
    let row = row.bind(credential.scopes.clone()).bind(credential.models.clone()).bind(credential.created_ms);
    let row = row.bind(credential.expires_ms).bind(change.revision());
    row.execute(change.connection()).await?;
    Ok((credential, drawn.key))
}

/// Makes a new secret of the same name and rights; the old one ends after the overlap.
pub async fn rotate(store: &Store, asker: &Asker, id: &str, overlap_ms: i64, now: i64) -> Result<(Credential, String)> {
    if !(0..=LONGEST_OVERLAP_MS).contains(&overlap_ms) {
        return Err(Refusal::Invalid("overlap_ms: must be from 0 to 90 days".to_owned()));
    }
    let old = find(store, asker, id).await?;
    asker.may(Act::ChangeCredentials)?;
    let mut change = Change::begin(store, asker, now).await?;
    // What ends before that anyway, or was revoked meanwhile, stays as it is.
    let ending = "UPDATE credentials SET expires_ms = CASE WHEN expires_ms < $2 THEN expires_ms ELSE $2 END, revision = $3 \
                  WHERE id = $1 AND revoked_ms IS NULL AND (expires_ms IS NULL OR expires_ms > $4)";
    let ending = sqlx::query(ending).bind(old.id.clone()).bind(now + overlap_ms).bind(change.revision()).bind(now);
    if ending.execute(change.connection()).await?.rows_affected() == 0 {
        return Err(Refusal::State("the credential has ended; make a new one".to_owned()));
    }
    let new = Credential { id: ids::new(now), created_ms: now, revoked_ms: None, ..old };
    let (new, secret) = add(&mut change, new).await?;
    tell(change, &new, Happened::KeyRotated, id).await?;
    Ok((new, secret))
}

/// Ends one. One that has been revoked stays as it is.
pub async fn revoke(store: &Store, asker: &Asker, id: &str, now: i64) -> Result<Credential> {
    let found = find(store, asker, id).await?;
    asker.may(Act::ChangeCredentials)?;
    let mut change = Change::begin(store, asker, now).await?;
    let query = sqlx::query("UPDATE credentials SET revoked_ms = $2, revision = $3 WHERE id = $1 AND revoked_ms IS NULL");
    let query = query.bind(found.id.clone()).bind(now).bind(change.revision());
    if query.execute(change.connection()).await?.rows_affected() == 0 {
        return Ok(found);
    }
    let revoked = Credential { revoked_ms: Some(now), ..found };
    tell(change, &revoked, Happened::KeyRevoked, &revoked.hint).await?;
    Ok(revoked)
}

async fn tell(mut change: Change, credential: &Credential, happened: Happened, detail: &str) -> Result<()> {
    webhooks::happened(&mut change, &credential.tenant_id, &Event::key(happened, credential)).await?;
    let what = match happened {
        Happened::KeyRevoked => "credential revoked",
        Happened::KeyRotated => "credential rotated",
        _ => "credential created",
    };
    let detail = format!("{} {detail}", credential.full_name());
    change.commit(Told { tenant_id: &credential.tenant_id, subject: &credential.id, what, detail: &detail }).await
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&name.len()) && name.chars().all(good) {
        return Ok(());
    }
    Err(Refusal::Invalid("name: must have 1 to 64 letters, digits, '.', '_' and '-'".to_owned()))
}
