//! Whether everything between a tenant and whoever bills it is settled, and what is still to be.

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Account, Currency, Money};

use super::{Billing, Desk, moment, ms, stops};
use crate::{
    error::{Refusal, Result},
    store::Store,
    tenants::{self, Tenant},
};

/// Since when what a tenant used has to be known call by call, for invoices that are not made yet.
pub(crate) async fn needed_since(billing: &Billing, store: &Store, name: &str, now: i64) -> Result<i64> {
    let Some(tenant) = tenants::find(store, name).await? else { return Ok(i64::MAX) };
    let mut connection = store.reads()?.acquire().await?;
    if billing.settings().file.is_none() {
        // It may be there again.
        let query = "SELECT COALESCE((SELECT MAX(end_ms) FROM invoices WHERE tenant_id = $1), MIN(at_ms)) AS since FROM subscription_changes WHERE tenant_id = $1";
        let row = sqlx::query(query).bind(tenant.id).fetch_one(&mut *connection).await?;
        return Ok(row.try_get::<Option<i64>, _>("since")?.unwrap_or(i64::MAX));
    }
    let Some(desk) = Desk::open(billing, &mut connection, &tenant).await? else { return Ok(i64::MAX) };
    let open = stops::open(&desk, &mut connection, &tenant.id, moment(now)?).await?;
    Ok(open.iter().find(|open| !open.lines.is_empty()).map_or(i64::MAX, |open| ms(open.period.start)))
}

/// Refuses, where money is owed in either direction, or something that was used is on no invoice yet.
pub(crate) async fn check(billing: &Billing, connection: &mut AnyConnection, tenant: &Tenant, now: i64) -> Result<()> {
    for account in [Account::Receivable(tenant.name.clone()), Account::PartnerPayable(tenant.name.clone())] {
        if let Some(amount) = balance(&mut *connection, &account).await? {
            return Err(Refusal::State(format!(
                "{account} has a balance of {amount}; write down a payment, a refund or a credit note first, so that nothing is owed"
            )));
        }
    }
    if billing.settings().file.is_none() {
        return Ok(());
    }
    let Some(desk) = Desk::open(billing, &mut *connection, tenant).await? else { return Ok(()) };
    for open in stops::open(&desk, connection, &tenant.id, moment(now)?).await? {
        if !open.total.is_zero() {
            return Err(Refusal::State(format!(
                "{} of the period from {} to {} is on no invoice yet; cancel what is subscribed to, and issue the invoice when the period is over",
                open.total,
                open.period.start.date(),
                open.period.end.date()
            )));
        }
    }
    Ok(())
}

/// What is left on an account, where it is something.
async fn balance(connection: &mut AnyConnection, account: &Account) -> Result<Option<Money>> {
    let query = "SELECT currency, CAST(SUM(amount_minor) AS BIGINT) AS minor FROM ledger_postings WHERE account = $1 \
                 GROUP BY currency HAVING SUM(amount_minor) <> 0 ORDER BY currency LIMIT 1";
    let Some(row) = sqlx::query(query).bind(account.to_string()).fetch_optional(connection).await? else { return Ok(None) };
    let currency: Currency = row.try_get::<String, _>("currency")?.parse().map_err(|_| Refusal::Fault)?;
    Ok(Some(Money::from_minor(currency, row.try_get::<i64, _>("minor")?.into())?))
}
