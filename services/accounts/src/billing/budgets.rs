//! Budgets: letters when a part of them is spent, each threshold once a period.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{
    Invoice,
    budget::{Alert, Budget},
};

use super::{Billing, Desk, amount, check_id, ms};
use crate::{
    access::{Act, Asker},
    error::{Refusal, Result},
    people::Outbox,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
    webhooks::{self, Event},
};

/// The most thresholds of a budget, and the most budgets of a tenant.
const MOST: usize = 16;
/// The highest threshold, in percent.
const HIGHEST: u32 = 1000;
/// When nothing is said.
const USUAL: [u32; 2] = [80, 100];

/// A budget, and what was told of it in this period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetTold {
    /// The budget.
    pub budget: Budget,
    /// The thresholds that were told of.
    pub told: BTreeSet<u32>,
}

/// A budget that is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewBudget<'a> {
    /// Its name.
    pub name: &'a str,
    /// How much a period, as text, and in which currency; none: it is taken away.
    pub limit: Option<(&'a str, &'a str)>,
    /// In percent; the usual ones when empty.
    pub thresholds: &'a [u32],
}

/// Sets a budget, or takes it away when there is no limit.
pub async fn set(billing: &Billing, store: &Store, asker: &Asker, tenant: &Tenant, new: NewBudget<'_>, now: i64) -> Result<Option<Budget>> {
    let NewBudget { name, limit, thresholds } = new;
    asker.may(Act::ChangeBilling)?;
    check_id("name", name)?;
    let thresholds: BTreeSet<u32> = if thresholds.is_empty() { USUAL.into() } else { thresholds.iter().copied().collect() };
    if thresholds.len() > MOST || thresholds.iter().any(|percent| !(1..=HIGHEST).contains(percent)) {
        return Err(Refusal::Invalid(format!("thresholds: must be at most {MOST}, from 1 to {HIGHEST} percent")));
    }
    let mut change = Change::begin(store, asker, now).await?;
    tenants::refuse_erased(change.connection(), &tenant.id).await?;
    let sold = billing.sold(change.connection()).await?;
    let there = of_tenant(change.connection(), &tenant.id).await?;
    let Some((number, currency)) = limit else {
        if !there.iter().any(|budget| budget.id == name) {
            return Err(Refusal::Absent("there is no such budget".to_owned()));
        }
        let row = sqlx::query("DELETE FROM budgets WHERE tenant_id = $1 AND name = $2").bind(tenant.id.clone()).bind(name.to_owned());
        row.execute(change.connection()).await?;
        change.commit(Told { tenant_id: &tenant.id, subject: name, what: "budget removed", detail: name }).await?;
        return Ok(None);
    };
    if there.len() >= MOST && !there.iter().any(|budget| budget.id == name) {
        return Err(Refusal::State(format!("name: a tenant has at most {MOST} budgets; remove one first")));
    }
    let budget = Budget { id: name.to_owned(), limit: amount("limit", number, currency, sold.currency)?, thresholds };
    let row = "INSERT INTO budgets (tenant_id, name, amount, thresholds) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (tenant_id, name) DO UPDATE SET amount = excluded.amount, thresholds = excluded.thresholds";
    let percents = budget.thresholds.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let row = sqlx::query(row).bind(tenant.id.clone()).bind(name.to_owned()).bind(budget.limit.to_string()).bind(percents);
    row.execute(change.connection()).await?;
    let detail = format!("{name} {}", budget.limit);
    change.commit(Told { tenant_id: &tenant.id, subject: name, what: "budget set", detail: &detail }).await?;
    Ok(Some(budget))
}

/// The budgets of a tenant, by their names.
pub(super) async fn of_tenant(connection: &mut AnyConnection, tenant_id: &str) -> Result<Vec<Budget>> {
    let query = sqlx::query("SELECT name, amount, thresholds FROM budgets WHERE tenant_id = $1 ORDER BY name").bind(tenant_id.to_owned());
    let mut budgets = Vec::new();
    for row in query.fetch_all(connection).await? {
        let (limit, percents): (String, String) = (row.try_get("amount")?, row.try_get("thresholds")?);
        budgets.push(Budget {
            id: row.try_get("name")?,
            limit: limit.parse().map_err(|_| Refusal::Fault)?,
            thresholds: percents.split(' ').filter_map(|percent| percent.parse().ok()).collect(),
        });
    }
    Ok(budgets)
}

/// The thresholds of a budget that were told of in a period.
async fn told(connection: &mut AnyConnection, tenant_id: &str, name: &str, period_ms: i64) -> Result<BTreeSet<u32>> {
    let query = sqlx::query("SELECT percent FROM budget_alerts WHERE tenant_id = $1 AND name = $2 AND period_ms = $3");
    let rows = query.bind(tenant_id.to_owned()).bind(name.to_owned()).bind(period_ms).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(u32::try_from(row.try_get::<i64, _>("percent")?).unwrap_or_default())).collect()
}

/// The budgets of a tenant, with what was told of them in this period.
pub async fn list(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) -> Result<Vec<BudgetTold>> {
    let mut connection = store.reads()?.acquire().await?;
    // Where nothing is sold, nothing is spent.
    billing.sold(&mut connection).await?;
    let period = match Desk::open(billing, &mut connection, tenant).await? {
        Some(desk) => Some(desk.anchor().period(super::moment(now)?)?),
        None => None,
    };
    let mut all = Vec::new();
    for budget in of_tenant(&mut connection, &tenant.id).await? {
        let told = match period {
            Some(period) => told(&mut connection, &tenant.id, &budget.id, ms(period.start)).await?,
            None => BTreeSet::new(),
        };
        all.push(BudgetTold { budget, told });
    }
    Ok(all)
}

/// Tells of what is due by what a tenant has spent so far in this period; gives how many letters that were.
pub async fn tell(billing: &Billing, store: &Store, outbox: &Outbox, tenant: &Tenant, now: i64) -> Result<usize> {
    let (mut due, spent) = (Vec::new(), {
        let mut connection = store.reads()?.acquire().await?;
        if of_tenant(&mut connection, &tenant.id).await?.is_empty() {
            return Ok(0);
        }
        let Some(desk) = Desk::open(billing, &mut connection, tenant).await? else { return Ok(0) };
        desk.preview(&mut connection, now).await?
    });
    {
        let mut connection = store.reads()?.acquire().await?;
        for budget in of_tenant(&mut connection, &tenant.id).await? {
            let told = told(&mut connection, &tenant.id, &budget.id, ms(spent.period.start)).await?;
            due.extend(budget.due(spent.total, &told)?);
        }
    }
    let mut letters = 0;
    for alert in due {
        letters += tell_one(store, outbox, tenant, &alert, &spent, now).await?;
    }
    Ok(letters)
}

/// Once: whoever else tells of it at the same time waits here, and finds it told.
async fn tell_one(store: &Store, outbox: &Outbox, tenant: &Tenant, alert: &Alert, spent: &Invoice, now: i64) -> Result<usize> {
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let row = "INSERT INTO budget_alerts (tenant_id, name, period_ms, percent, told_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let row = sqlx::query(row).bind(tenant.id.clone()).bind(alert.budget.clone()).bind(ms(spent.period.start));
    let row = row.bind(i64::from(alert.percent)).bind(now);
    if row.execute(change.connection()).await?.rows_affected() == 0 {
        return Ok(0);
    }
    let query = "SELECT email FROM members WHERE tenant_id = $1 AND role IN ('owner', 'admin', 'billing') AND verified_ms IS NOT NULL ORDER BY email";
    let rows = sqlx::query(query).bind(tenant.id.clone()).fetch_all(change.connection()).await?;
    let subject = format!("{}% of the budget {} of {} is spent", alert.percent, alert.budget, tenant.name);
    let text = format!(
        "{} has spent {} in the period from {}, which is {}% or more of its budget {:?} of {}.\r\n\r\nNothing is stopped by this. What is spent is tax included, and fees count for the whole period.\r\n",
        tenant.name,
        alert.spent,
        spent.period.start.date(),
        alert.percent,
        alert.budget,
        alert.limit
    );
    // Before the commit: whoever is killed in between writes the letters again rather than never.
    let occasion = format!("budget {} {} {} {}", tenant.id, alert.budget, ms(spent.period.start), alert.percent);
    for row in &rows {
        outbox.notice(&occasion, row.try_get("email")?, &subject, &text).await?;
    }
    webhooks::happened(&mut change, &tenant.id, &Event::budget(alert, spent)).await?;
    let detail = format!("{} {}% {} of {}", alert.budget, alert.percent, alert.spent, alert.limit);
    change.commit(Told { tenant_id: &tenant.id, subject: &alert.budget, what: "budget reached", detail: &detail }).await?;
    Ok(rows.len())
}
