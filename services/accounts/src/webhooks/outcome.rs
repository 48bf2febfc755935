//! What became of an attempt, written down.

use sqlx::{Any, Row as _, Transaction};

use super::{
    attempts::Outcome,
    courier::{Courier, Due, Lease, ms},
    schedule::{self, Next},
    send::Answer,
};
use crate::{
    access::Asker,
    error::Result,
    store::{Change, Told},
};

/// Keeps what became of a message, and the lease for the next one; gives whether there may be one.
pub(super) async fn keep(courier: &Courier, lease: &mut Lease, due: &Due, answer: &Answer, began: i64) -> Result<bool> {
    let (now, settings) = ((courier.clock)(), courier.webhooks.settings());
    let attempts = &courier.webhooks.0.attempts;
    let mut transaction = courier.store.begin().await?;
    lease.until_ms = courier.lease_until(now);
    if answer.is_taken() {
        put(&mut transaction, due, answer, began, ("delivered", 0)).await?;
        let is_ours = went_well(&mut transaction, lease, due, now).await?;
        transaction.commit().await?;
        attempts.count(Outcome::Delivered);
        return Ok(is_ours);
    }
    let next = schedule::next(due.attempts + 1, due.first_ms.unwrap_or(began), now, settings, fastrand::f64());
    let (state, not_before) = match next {
        Next::Again { at_ms, holds } => (("waiting", at_ms), if holds { at_ms } else { 0 }),
        Next::Dead => (("dead", 0), 0),
    };
    put(&mut transaction, due, answer, began, state).await?;
    let query = "UPDATE webhooks SET leased_until_ms = $3, failing_since_ms = COALESCE(failing_since_ms, $4), not_before_ms = $5 \
                 WHERE id = $1 AND leased_by = $2 RETURNING failing_since_ms";
    let query =
        sqlx::query(query).bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind(lease.until_ms).bind(began).bind(not_before);
    let row = query.fetch_optional(&mut *transaction).await?;
    let failing: Option<i64> = row.map(|row| row.try_get("failing_since_ms")).transpose()?;
    transaction.commit().await?;
    attempts.count(if next == Next::Dead { Outcome::Dead } else { Outcome::Failed });
    tracing::debug!(webhook = lease.webhook_id, status = answer.status, why = answer.error, "a webhook was not taken");
    let Some(failing) = failing else { return Ok(false) };
    if answer.is_gone() || now - failing >= ms(settings.switch_off_after) {
        switch_off(courier, &lease.webhook_id, &answer.error, now).await?;
        return Ok(false);
    }
    Ok(not_before == 0)
}

async fn put(transaction: &mut Transaction<'static, Any>, due: &Due, answer: &Answer, began: i64, becomes: (&str, i64)) -> Result<()> {
    let query = "UPDATE webhook_deliveries SET state = $2, attempts = attempts + 1, first_ms = COALESCE(first_ms, $3), last_ms = $3, next_ms = $4, \
                 status = $5, error = $6 WHERE id = $1 AND state = 'waiting'";
    let query = sqlx::query(query).bind(due.delivery_id.clone()).bind(becomes.0.to_owned()).bind(began).bind(becomes.1);
    query.bind(i64::from(answer.status)).bind(answer.error.clone()).execute(&mut **transaction).await?;
    Ok(())
}

/// Gives whether the lease is still ours.
async fn went_well(transaction: &mut Transaction<'static, Any>, lease: &Lease, due: &Due, now: i64) -> Result<bool> {
    if due.attempts > 0 {
        // Whoever is back takes what has waited, too. What follows a message that is never taken does not wake it.
        let query = "UPDATE webhook_deliveries SET next_ms = $2 WHERE webhook_id = $1 AND state = 'waiting' AND next_ms > $2";
        sqlx::query(query).bind(lease.webhook_id.clone()).bind(now).execute(&mut **transaction).await?;
    }
    let query = "UPDATE webhooks SET leased_until_ms = $3, failing_since_ms = NULL, not_before_ms = 0 WHERE id = $1 AND leased_by = $2";
    let query = sqlx::query(query).bind(lease.webhook_id.clone()).bind(lease.token.clone()).bind(lease.until_ms);
    Ok(query.execute(&mut **transaction).await?.rows_affected() == 1)
}

/// Switches a webhook off that nobody answers, and tells its tenant's owners.
async fn switch_off(courier: &Courier, webhook_id: &str, why: &str, now: i64) -> Result<()> {
    let mut change = Change::begin(&courier.store, &Asker::Itself, now).await?;
    let query = "UPDATE webhooks SET state = 'switched_off' WHERE id = $1 AND state = 'enabled' RETURNING url, tenant_id, failing_since_ms";
    let Some(row) = sqlx::query(query).bind(webhook_id.to_owned()).fetch_optional(change.connection()).await? else { return Ok(()) };
    let (url, tenant_id): (String, Option<String>) = (row.try_get("url")?, row.try_get("tenant_id")?);
    let since: Option<i64> = row.try_get("failing_since_ms")?;
    let since = super::events::time(since.unwrap_or(now));
    tracing::warn!(webhook = webhook_id, since, why, "a webhook was switched off");
    let query = "SELECT email FROM members WHERE tenant_id = $1 AND role = 'owner' AND verified_ms IS NOT NULL ORDER BY email";
    let query = sqlx::query(query).bind(tenant_id.clone().unwrap_or_default());
    let owners = query.fetch_all(change.connection()).await?;
    let text = format!(
        "Messages to the webhook {url} have failed since {since}; the last time, {why}. It was switched off, and is told nothing any more.\r\n\r\n\
         When its receiver works again, enable it: what has waited is sent then. What happens until then is not told later.\r\n"
    );
    // Before the commit: whoever is killed in between writes the letters again rather than never.
    for row in &owners {
        let occasion = format!("webhook {webhook_id} {since}");
        courier.outbox.notice(&occasion, row.try_get("email")?, "A webhook was switched off", &text).await?;
    }
    let owner = tenant_id.unwrap_or_default();
    change.commit(Told { tenant_id: &owner, subject: webhook_id, what: "webhook switched off", detail: &url }).await
}
