//! The credentials as the gateways are told of them: all that are good, or what has changed since.

use sqlx::Row as _;

use super::{Kind, full_name};
use crate::{
    error::{Refusal, Result},
    store::Store,
};

/// What a gateway knows already.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Since {
    /// Of which database.
    pub origin: String,
    /// Up to where.
    pub revision: i64,
}

/// A credential that is good, as far as its tenant and nobody's revocation are concerned; a gateway looks at the time itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.KnownCredential`")]
pub struct Known {
    pub id: String,
    pub kind: Kind,
    pub full_name: String,
    pub tenant: String,
    /// In hexadecimal digits.
    pub sha256: String,
    pub scopes: String,
    pub models: Option<String>,
    pub tenant_models: String,
    pub expires_ms: Option<i64>,
    /// Why its calls to models are refused; empty: they are not.
    pub stopped: String,
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Up to where, and of which database.
    pub to: Since,
    /// Whether it is everything.
    pub snapshot: bool,
    /// Those that are good.
    pub known: Vec<Known>,
    /// The ids of those that are no longer.
    pub gone: Vec<String>,
}

/// What has changed since, or everything where that cannot be told.
pub async fn feed(store: &Store, since: &Since, now: i64) -> Result<Feed> {
    // First up to where, then the rows: what is changed between the two is told twice, and nothing is missed.
    let row = sqlx::query("SELECT value, origin FROM revision WHERE only_row = 1").fetch_one(store.reads()?).await?;
    let to = Since { origin: row.try_get("origin")?, revision: row.try_get("value")? };
    let snapshot = since.origin != to.origin || !(1..=to.revision).contains(&since.revision);
    let from = if snapshot { -1 } else { since.revision };
    let query = "SELECT c.id, c.kind, c.name, c.sha256, c.scopes, c.models, c.expires_ms, c.revoked_ms, t.name AS tenant, t.state, t.stopped, t.models AS tenant_models \
                 FROM credentials c JOIN tenants t ON t.id = c.tenant_id WHERE c.revision > $1";
    let rows = sqlx::query(query).bind(from).fetch_all(store.reads()?).await?;
    let mut feed = Feed { to, snapshot, known: Vec::with_capacity(rows.len()), gone: Vec::new() };
    for row in &rows {
        let (id, expires_ms): (String, Option<i64>) = (row.try_get("id")?, row.try_get("expires_ms")?);
        let revoked = row.try_get::<Option<i64>, _>("revoked_ms")?.is_some();
        let active = row.try_get::<String, _>("state")? == "active";
        if revoked || !active || expires_ms.is_some_and(|expires| expires <= now) {
            if !snapshot {
                feed.gone.push(id);
            }
            continue;
        }
        let tenant: String = row.try_get("tenant")?;
        feed.known.push(Known {
            id,
            kind: Kind::parse(row.try_get("kind")?)?,
            full_name: full_name(&tenant, row.try_get("name")?),
            tenant,
            sha256: row.try_get("sha256")?,
            scopes: row.try_get("scopes")?,
            models: row.try_get("models")?,
            tenant_models: row.try_get("tenant_models")?,
            expires_ms,
            stopped: row.try_get("stopped")?,
        });
    }
    Ok(feed)
}

/// A SHA-256 of 64 hexadecimal digits, as bytes.
pub fn bytes(sha256: &str) -> Result<Vec<u8>> {
    let digit = |at: usize| sha256.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(Refusal::Fault);
    (0..64).step_by(2).map(digit).collect()
}
