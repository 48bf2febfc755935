//! Erases a tenant that was closed: who it was. What has to be kept of what it used and paid stays, under the name that the books know it by.
//!
//! All but its calls goes in one transaction; those are many, and lose whom they name afterwards, in steps ([`crate::usage::strip`]).

use sqlx::{AnyConnection, Row as _};

use super::{Privacy, person, retention::before};
use crate::{
    access::Asker,
    billing,
    error::{Refusal, Result},
    store::{Change, Told},
    tenants::{self, State, Tenant},
};

/// What is done, in this order, with the tenant's id as `$1`.
const GOES: &[&str] = &[
    "DELETE FROM sessions WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM letters WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM sign_in_challenges WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM recovery_codes WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM second_factors WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM member_identities WHERE member_id IN (SELECT id FROM members WHERE tenant_id = $1)",
    "DELETE FROM members WHERE tenant_id = $1",
    // What operators' webhooks were to be told of it, too: the texts name its keys. Deliveries before their webhook, as whoever sends locks them.
    "DELETE FROM webhook_deliveries WHERE revision IN (SELECT revision FROM webhook_events WHERE body LIKE '%\"' || $1 || '\"%')",
    "DELETE FROM webhook_deliveries WHERE webhook_id IN (SELECT id FROM webhooks WHERE tenant_id = $1)",
    "DELETE FROM webhook_events WHERE body LIKE '%\"' || $1 || '\"%'",
    "DELETE FROM webhook_secrets WHERE webhook_id IN (SELECT id FROM webhooks WHERE tenant_id = $1)",
    "DELETE FROM webhooks WHERE tenant_id = $1",
    // What was said of models that others have seen stays, as a page of the catalogue that operators take down.
    "DELETE FROM listings WHERE provider_id = $1 AND state = 'draft'",
    "DELETE FROM listing_audience WHERE tenant_id = $1",
    "DELETE FROM listing_notices WHERE tenant_id = $1",
    "DELETE FROM budget_alerts WHERE tenant_id = $1",
    "DELETE FROM budgets WHERE tenant_id = $1",
    // The rest of it is of the books; the page at the processor knows the payer.
    "UPDATE payments SET url = '' WHERE tenant_id = $1",
    "UPDATE payments SET session = '' WHERE tenant_id = $1 AND state NOT IN ('begun', 'waiting')",
    "UPDATE billing_profiles SET recipient = '' WHERE tenant_id = $1",
    // The names of budgets are subjects; what else is one is an id or a number.
    "UPDATE changes SET subject = '' WHERE tenant_id = $1 AND what LIKE 'budget %'",
    "UPDATE changes SET detail = '' WHERE tenant_id = $1",
];

impl Privacy {
    /// Erases a tenant; one that was erased stays so. Operators only.
    pub async fn erase_tenant(&self, asker: &Asker, tenant: &Tenant, now: i64) -> Result<Tenant> {
        asker.is_operator()?;
        let mut change = Change::begin(&self.store, asker, now).await?;
        // Read again, now that nobody else changes anything.
        let tenant = tenants::by_id(change.connection(), &tenant.id).await?;
        if tenant.erased_ms.is_some() {
            return Ok(tenant);
        }
        if tenant.state != State::Closed {
            let state = tenant.state.as_str();
            return Err(Refusal::State(format!("the tenant is {state}; close it first, which ends its keys for good, and erase it then")));
        }
        billing::check_settled(&self.billing, change.connection(), &tenant, now).await?;
        let addresses = self.goes(change.connection(), &tenant, now).await?;
        // Its keys are refused since it was closed. Rows stay, so that a gateway that was away hears of that.
        let keys = "UPDATE credentials SET name = 'erased', hint = '', sha256 = 'erased ' || id, revoked_ms = COALESCE(revoked_ms, $2), revision = $3 WHERE tenant_id = $1";
        let keys = sqlx::query(keys).bind(tenant.id.clone()).bind(now).bind(change.revision());
        keys.execute(change.connection()).await?;
        // Before the commit: whoever is killed in between looks for the letters again.
        self.outbox.forget(&addresses).await?;
        change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what: "tenant erased", detail: "" }).await?;
        self.store.fold_log().await;
        self.wake();
        Ok(Tenant { display_name: tenant.name.clone(), stopped: String::new(), erased_ms: Some(now), ..tenant })
    }

    /// Removes what says who it was; gives the addresses that its members had.
    async fn goes(&self, connection: &mut AnyConnection, tenant: &Tenant, now: i64) -> Result<Vec<String>> {
        let query = sqlx::query("SELECT email FROM members WHERE tenant_id = $1").bind(tenant.id.clone());
        let rows = query.fetch_all(&mut *connection).await?;
        let addresses = rows.iter().map(|row| row.try_get("email")).collect::<sqlx::Result<Vec<String>>>()?;
        for address in &addresses {
            person::attempts(&mut *connection, address).await?;
        }
        for &text in GOES {
            sqlx::query(text).bind(tenant.id.clone()).execute(&mut *connection).await?;
        }
        let query = sqlx::query("UPDATE tenants SET display_name = name, stopped = '', erased_ms = $2 WHERE id = $1");
        query.bind(tenant.id.clone()).bind(now).execute(&mut *connection).await?;
        self.recipients(connection, &tenant.id, now).await?;
        Ok(addresses)
    }

    /// Takes off the invoices of a tenant that was erased whom they were for, where they are older than they have to be kept so.
    pub(super) async fn recipients(&self, connection: &mut AnyConnection, tenant_id: &str, now: i64) -> Result<()> {
        let query = sqlx::query("UPDATE invoices SET recipient = '' WHERE tenant_id = $1 AND issued_ms <= $2 AND recipient <> ''");
        query.bind(tenant_id.to_owned()).bind(before(self.retention.invoice_recipients, now)).execute(connection).await?;
        Ok(())
    }
}
