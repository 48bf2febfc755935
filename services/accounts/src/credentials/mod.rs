//! What models are called with: API keys and OAuth clients, by the hashes of their secrets.

mod changes;
mod feed;

use sqlx::{Row as _, any::AnyRow};
use torchmesh_api::access::Scopes;

pub use changes::{New, create, revoke, rotate};
pub use feed::{Feed, Known, Since, bytes, feed};

use crate::{
    access::Asker,
    error::{Refusal, Result},
    page::Page,
    store::Store,
    tenants::Tenant,
};

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its secret is shown with each call.
    ApiKey,
    /// Its secret is shown for tokens.
    OauthClient,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OauthClient => "oauth_client",
        }
    }

    fn parse(word: &str) -> Result<Self> {
        [Self::ApiKey, Self::OauthClient].into_iter().find(|kind| kind.as_str() == word).ok_or(Refusal::Fault)
    }
}

/// A credential, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Credential`")]
pub struct Credential {
    pub id: String,
    pub tenant_id: String,
    pub tenant: String,
    pub kind: Kind,
    pub name: String,
    pub hint: String,
    /// With blanks between.
    pub scopes: String,
    /// Patterns with blanks between.
    pub models: Option<String>,
    pub created_ms: i64,
    pub expires_ms: Option<i64>,
    pub revoked_ms: Option<i64>,
    pub last_used_ms: Option<i64>,
}

impl Credential {
    /// How usage, limits and logs name it.
    pub fn full_name(&self) -> String {
        full_name(&self.tenant, &self.name)
    }
}

/// The name of a credential that no other tenant's has: a tenant's name has no `/`.
pub fn full_name(tenant: &str, name: &str) -> String {
    format!("{tenant}/{name}")
}

/// What a query for credentials selects, with the tenant as `t` and the credential as `c`.
const SELECTED: &str = "SELECT c.id, c.tenant_id, t.name AS tenant, c.kind, c.name, c.hint, c.scopes, c.models, c.created_ms, c.expires_ms, c.revoked_ms, \
    (SELECT MAX(u.last_ms) FROM usage_daily u WHERE u.credential = t.name || '/' || c.name) AS last_used_ms \
    FROM credentials c JOIN tenants t ON t.id = c.tenant_id";

fn read(row: &AnyRow) -> Result<Credential> {
    Ok(Credential {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        tenant: row.try_get("tenant")?,
        kind: Kind::parse(row.try_get("kind")?)?,
        name: row.try_get("name")?,
        hint: row.try_get("hint")?,
        scopes: row.try_get("scopes")?,
        models: row.try_get("models")?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        revoked_ms: row.try_get("revoked_ms")?,
        last_used_ms: row.try_get("last_used_ms")?,
    })
}

/// Those of a tenant, in the order in which they were made.
pub async fn list(store: &Store, tenant: &Tenant, page: &Page) -> Result<Vec<Credential>> {
    let query = sqlx::AssertSqlSafe(format!("{SELECTED} WHERE c.tenant_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3"));
    let query = sqlx::query(query).bind(tenant.id.clone()).bind(page.after.clone()).bind(page.limit());
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}

/// The one with this id, if whoever asks may see it.
pub async fn find(store: &Store, asker: &Asker, id: &str) -> Result<Credential> {
    let query = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECTED} WHERE c.id = $1"))).bind(id.to_owned());
    let row = query.fetch_optional(store.reads()?).await?;
    let found = row.as_ref().map(read).transpose()?.filter(|found| asker.sees(&found.tenant_id));
    found.ok_or_else(|| Refusal::Absent("there is no such credential".to_owned()))
}

/// Reads what a credential is to be allowed.
fn scopes(words: &[String]) -> Result<Scopes> {
    if words.is_empty() {
        return Ok(Scopes::USUAL);
    }
    Scopes::parse(words.iter().map(String::as_str)).map_err(|error| Refusal::Invalid(format!("scopes: {error}")))
}
