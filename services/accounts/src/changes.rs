//! What was changed, as it was written down.

use sqlx::{AssertSqlSafe, Row as _};
use torchmesh_api::accounts::v1::Change;

use crate::{
    error::{Refusal, Result},
    page::Page,
    store::Store,
    tenants::Tenant,
};

/// Rows of one transaction, at most.
const AT_ONCE: i64 = 5000;

/// Removes those from before this moment.
pub(crate) async fn remove_old(store: &Store, before: i64) -> Result<()> {
    loop {
        let mut transaction = store.begin().await?;
        let query = "DELETE FROM changes WHERE time_ms < $1 AND revision < (SELECT MIN(revision) FROM changes) + $2";
        let removed = sqlx::query(query).bind(before).bind(AT_ONCE).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        if removed == 0 {
            return Ok(());
        }
    }
}

/// The changes of a tenant, or of all, the newest first.
pub async fn list(store: &Store, tenant: Option<&Tenant>, page: &Page) -> Result<Vec<Change>> {
    let before = match page.after.as_str() {
        "" => i64::MAX,
        text => text.parse().map_err(|_| Refusal::Invalid("page_token: is not one that was given".to_owned()))?,
    };
    let only = if tenant.is_some() { "AND tenant_id = $3" } else { "" };
    let text = format!(
        "SELECT revision, time_ms, actor, tenant_id, subject, what, detail FROM changes WHERE revision < $1 {only} ORDER BY revision DESC LIMIT $2"
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(before).bind(page.limit());
    let rows = tenant.map(|tenant| tenant.id.clone()).into_iter().fold(query, sqlx::query::Query::bind).fetch_all(store.reads()?).await?;
    let read = |row: &sqlx::any::AnyRow| -> Result<Change> {
        Ok(Change {
            revision: row.try_get("revision")?,
            time_unix_ms: row.try_get("time_ms")?,
            actor: row.try_get("actor")?,
            tenant_id: row.try_get("tenant_id")?,
            subject: row.try_get("subject")?,
            what: row.try_get("what")?,
            detail: row.try_get("detail")?,
        })
    };
    rows.iter().map(read).collect()
}
