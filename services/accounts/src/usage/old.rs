//! Events that are not kept any more. Their sums stay.

use sqlx::{AnyConnection, Row as _};

use crate::{error::Result, store::Store};

/// Events of one transaction.
const AT_ONCE: i64 = 5000;

/// The next tenant that has used something, by name.
pub(crate) async fn next_tenant(store: &Store, after: &str) -> Result<Option<String>> {
    let query = sqlx::query("SELECT MIN(tenant) AS next FROM usage_daily WHERE tenant > $1").bind(after.to_owned());
    Ok(query.fetch_one(store.reads()?).await?.try_get("next")?)
}

/// Removes a tenant's events from before this moment, and writes down that it did.
pub(crate) async fn remove_old(store: &Store, tenant: &str, before: i64) -> Result<()> {
    loop {
        let mut transaction = store.begin().await?;
        let query = "DELETE FROM usage_events WHERE id IN (SELECT id FROM usage_events WHERE tenant = $1 AND time_ms < $2 ORDER BY time_ms LIMIT $3)";
        let query = sqlx::query(query).bind(tenant.to_owned()).bind(before).bind(AT_ONCE);
        let removed = query.execute(&mut *transaction).await?.rows_affected();
        if removed == 0 {
            return Ok(());
        }
        let row = "INSERT INTO usage_removed (tenant, before_ms) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET \
                   before_ms = CASE WHEN excluded.before_ms > usage_removed.before_ms THEN excluded.before_ms ELSE usage_removed.before_ms END";
        sqlx::query(row).bind(tenant.to_owned()).bind(before).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
}

/// Before when events of a tenant may be missing.
pub(crate) async fn removed_before(connection: &mut AnyConnection, tenant: &str) -> Result<Option<i64>> {
    let query = sqlx::query("SELECT before_ms FROM usage_removed WHERE tenant = $1").bind(tenant.to_owned());
    Ok(query.fetch_optional(connection).await?.map(|row| row.try_get("before_ms")).transpose()?)
}
