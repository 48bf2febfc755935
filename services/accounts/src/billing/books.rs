//! The ledger, as it is kept: entries that balance, which the database sees to as well, and nothing is ever changed.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _, any::AnyRow};
use torchmesh_billing::{Account, Entry, Ledger, Moment};

use super::{draw, moment, ms};
use crate::{
    error::{Refusal, Result},
    page::Page,
    store::{Change, Store},
    tenants::Tenant,
};

/// An entry that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Its place among all.
    pub sequence: i64,
    /// The entry.
    pub entry: Entry,
}

fn read(row: &AnyRow) -> Result<Posted> {
    let content: String = row.try_get("content")?;
    Ok(Posted { sequence: row.try_get("sequence")?, entry: serde_json::from_str(&content)? })
}

/// The entries of a tenant: all that its invoices are made of.
pub(super) async fn of_tenant(connection: &mut AnyConnection, tenant_id: &str) -> Result<Ledger> {
    let query =
        sqlx::query("SELECT sequence, content FROM ledger_entries WHERE tenant_id = $1 ORDER BY sequence").bind(tenant_id.to_owned());
    Ok(Ledger::of(entries(&query.fetch_all(connection).await?)?)?)
}

/// The entries of an account, whoever's they are.
pub(super) async fn of_account(connection: &mut AnyConnection, account: &Account) -> Result<Ledger> {
    let query = "SELECT sequence, content FROM ledger_entries WHERE id IN (SELECT entry_id FROM ledger_postings WHERE account = $1)";
    Ok(Ledger::part(entries(&sqlx::query(query).bind(account.to_string()).fetch_all(connection).await?)?)?)
}

fn entries(rows: &[AnyRow]) -> Result<Vec<Entry>> {
    rows.iter().map(|row| read(row).map(|posted| posted.entry)).collect()
}

/// An entry by its id.
pub(super) async fn find(connection: &mut AnyConnection, id: &str) -> Result<Option<Posted>> {
    let query = sqlx::query("SELECT sequence, content FROM ledger_entries WHERE id = $1").bind(id.to_owned());
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// When the next entry of a tenant is: now, but behind all that it has, whatever clocks say. There is room for one entry just before it.
pub(super) async fn next_moment(change: &mut Change, tenant_id: &str) -> Result<Moment> {
    let query = "SELECT COALESCE(MAX(at_ms), 0) AS last FROM (SELECT at_ms FROM ledger_entries WHERE tenant_id = $1 \
                 UNION ALL SELECT issued_ms FROM invoices WHERE tenant_id = $1) AS times";
    let row = sqlx::query(query).bind(tenant_id.to_owned()).fetch_one(change.connection()).await?;
    moment(change.now().max(row.try_get::<i64, _>("last")? + 2))
}

/// Writes an entry down.
pub(super) async fn post(change: &mut Change, tenant_id: &str, entry: &Entry) -> Result<Posted> {
    let sequence = draw::next(change, "ledger").await?;
    for posting in entry.postings() {
        let minor =
            i64::try_from(posting.amount.minor()?).map_err(|_| Refusal::State("the amount is too large for the ledger".to_owned()))?;
        let row = sqlx::query("INSERT INTO ledger_postings (entry_id, account, currency, amount_minor) VALUES ($1, $2, $3, $4)");
        let row = row.bind(entry.id().to_owned()).bind(posting.account.to_string()).bind(posting.amount.currency().to_string()).bind(minor);
        row.execute(change.connection()).await?;
    }
    let row = sqlx::query("INSERT INTO ledger_entries (id, sequence, tenant_id, at_ms, content) VALUES ($1, $2, $3, $4, $5)");
    let row = row.bind(entry.id().to_owned()).bind(sequence).bind(tenant_id.to_owned()).bind(ms(entry.at()));
    row.bind(serde_json::to_string(entry)?).execute(change.connection()).await?;
    Ok(Posted { sequence, entry: entry.clone() })
}

/// The entries about a tenant (its own, and those on its account as a partner), or all of them, the newest first.
pub async fn list(store: &Store, tenant: Option<&Tenant>, page: &Page) -> Result<Vec<Posted>> {
    let before = match page.after.as_str() {
        "" => i64::MAX,
        text => text.parse().map_err(|_| Refusal::Invalid("page_token: is not one that was given".to_owned()))?,
    };
    let only =
        if tenant.is_some() { "AND (tenant_id = $3 OR id IN (SELECT entry_id FROM ledger_postings WHERE account = $4))" } else { "" };
    let text = format!("SELECT sequence, content FROM ledger_entries WHERE sequence < $1 {only} ORDER BY sequence DESC LIMIT $2");
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(before).bind(page.limit());
    if let Some(tenant) = tenant {
        query = query.bind(tenant.id.clone()).bind(Account::PartnerPayable(tenant.name.clone()).to_string());
    }
    query.fetch_all(store.reads()?).await?.iter().map(read).collect()
}
