//! What happens, written down with the change that makes it happen: for whom it is, and the text that is sent.

use serde_json::json;
use sqlx::Row as _;

use super::{Event, events::time};
use crate::{error::Result, ids, store::Change};

/// Whether a webhook that is registered for these events is told of this one.
fn wants(events: &str, name: &str) -> bool {
    events.split(' ').any(|wanted| wanted == "*" || wanted == name)
}

/// Something happens to a tenant: writes it down for every webhook that is to be told. A change has one event at most.
pub(crate) async fn happened(change: &mut Change, tenant_id: &str, event: &Event) -> Result<()> {
    let query =
        sqlx::query("SELECT id, events FROM webhooks WHERE state = 'enabled' AND (tenant_id = $1 OR tenant_id IS NULL) ORDER BY id");
    let mut told = Vec::new();
    for row in query.bind(tenant_id.to_owned()).fetch_all(change.connection()).await? {
        if wants(row.try_get("events")?, event.kind.as_str()) {
            told.push(row.try_get("id")?);
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    write(change, Some(tenant_id), event, &told).await
}

/// Writes an event down, with a delivery for each of these webhooks.
pub(super) async fn write(change: &mut Change, tenant_id: Option<&str>, event: &Event, told: &[String]) -> Result<()> {
    let (now, revision) = (change.now(), change.revision());
    let mut tenant = None;
    if let Some(id) = tenant_id {
        let row = sqlx::query("SELECT name FROM tenants WHERE id = $1").bind(id.to_owned()).fetch_one(change.connection()).await?;
        tenant = Some(json!({ "id": id, "name": row.try_get::<String, _>("name")? }));
    }
    let (message_id, name) = (format!("msg_{}", ids::new(now)), event.kind.as_str());
    let body = json!({ "id": message_id, "type": name, "timestamp": time(now), "tenant": tenant, "data": event.data });
    let row = sqlx::query("INSERT INTO webhook_events (revision, message_id, event, time_ms, body) VALUES ($1, $2, $3, $4, $5)");
    let row = row.bind(revision).bind(message_id).bind(name).bind(now).bind(body.to_string());
    row.execute(change.connection()).await?;
    for webhook_id in told {
        let row =
            "INSERT INTO webhook_deliveries (id, webhook_id, revision, created_ms, state, next_ms) VALUES ($1, $2, $3, $4, 'waiting', $4)";
        let row = sqlx::query(row).bind(ids::new(now)).bind(webhook_id.clone()).bind(revision).bind(now);
        row.execute(change.connection()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_told_of_what_it_is_registered_for() {
        assert!(wants("*", "invoice.issued") && wants("key.created invoice.issued", "invoice.issued"));
        assert!(!wants("invoice.reissued", "invoice.issued") && !wants("", "invoice.issued"));
    }
}
