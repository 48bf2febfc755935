//! Whether everything between a tenant and whoever bills it is settled.

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Account, Currency, Money};

use super::{Billing, Desk, moment, stops};
use crate::{
    error::{Refusal, Result},
    tenants::Tenant,
};

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
