//! What is done at the start, and once an hour.

use super::courier::{Courier, ms};
use crate::{error::Result, store::Kind};

/// At the start: leases of a process that was killed end, where only one process can be.
pub(crate) async fn begin(courier: &Courier) -> Result<()> {
    if courier.store.kind() == Kind::Sqlite {
        let mut transaction = courier.store.begin().await?;
        sqlx::query("UPDATE webhooks SET leased_by = '', leased_until_ms = 0 WHERE leased_until_ms > 0").execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Removes deliveries that are older than they are kept, and secrets that have ended.
pub(crate) async fn remove_old(courier: &Courier) -> Result<()> {
    let now = (courier.clock)();
    let before = now - ms(courier.webhooks.settings().keep);
    let mut transaction = courier.store.begin().await?;
    sqlx::query("DELETE FROM webhook_secrets WHERE expires_ms <= $1").bind(now).execute(&mut *transaction).await?;
    sqlx::query("DELETE FROM webhook_deliveries WHERE created_ms < $1").bind(before).execute(&mut *transaction).await?;
    let events = "DELETE FROM webhook_events WHERE time_ms < $1 \
                  AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.revision = webhook_events.revision)";
    sqlx::query(events).bind(before).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
