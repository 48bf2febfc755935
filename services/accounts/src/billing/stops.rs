//! When a tenant's calls are to stop: what is free, or what was paid in advance, is used up. Gateways are told with the tenant's credentials, and refuse in these words.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row as _};
use torchmesh_billing::{Account, Invoice, Moment, Money, Period, Rollup, invoice, plan::Allowance, plan::Plan, subscription::State};

use super::{Billing, Desk, moment};
use crate::{
    access::Asker,
    error::Result,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
    webhooks::{self, Event},
};

/// Why the calls of a tenant are to stop; none: they go on.
async fn reason(billing: &Billing, connection: &mut AnyConnection, tenant: &Tenant, now: i64) -> Result<Option<String>> {
    let Some(desk) = Desk::open(billing, &mut *connection, tenant).await? else { return Ok(None) };
    // A change of plan that was written down meanwhile counts, though it is later than when this look began.
    let at = desk.subscription.events().last().map_or(Moment::FIRST, |event| event.at).max(moment(now)?);
    let period = desk.anchor().period(at)?;
    if desk.profile.prepaid {
        let open = open(&desk, &mut *connection, &tenant.id, at).await?;
        if !is_paid(&desk, &open, &period)? {
            return Ok(Some("the prepaid credit is used up; add credit, and calls go on".to_owned()));
        }
    }
    let Some(last) = desk.subscription.last_plan(at.later(1))? else { return Ok(None) };
    let plan = desk.sold.catalogue.plan(&last)?;
    if !plan.stops() {
        return Ok(None);
    }
    let Some(state) = desk.subscription.state(at)? else {
        return Ok(Some("the subscription has ended; subscribe to a plan, and calls go on".to_owned()));
    };
    let used = desk.used(connection, &period).await?;
    Ok(used_up(&desk, plan, &state, &used)?.map(|allowance| is_used_up(plan, allowance, &period)))
}

fn is_used_up(plan: &Plan, allowance: &Allowance, period: &Period) -> String {
    let units = allowance.units.iter().map(|unit| unit.name()).collect::<Vec<_>>().join(", ");
    format!(
        "what the plan {:?} gives for nothing is used up ({} of {units} a period); subscribe to another plan, or wait until {}, when the next period begins",
        plan.id,
        allowance.quantity,
        period.end.date()
    )
}

/// What was spent in the periods that have no invoice, up to the one that it is, as the invoices that there would be.
pub(super) async fn open(desk: &Desk, connection: &mut AnyConnection, tenant_id: &str, at: Moment) -> Result<Vec<Invoice>> {
    let mut period = desk.next_period(&mut *connection, tenant_id).await?;
    let mut spent = Vec::new();
    while period.start <= at {
        let used = desk.used(&mut *connection, &period).await?;
        spent.push(invoice(&desk.bill("", period, at.later(1), &used))?);
        period = desk.anchor().next(&period)?;
    }
    Ok(spent)
}

/// Whether some credit is left for this period, when what is owed and what is not invoiced yet is paid: each period by the credit that can pay it.
fn is_paid(desk: &Desk, open: &[Invoice], period: &Period) -> Result<bool> {
    let currency = desk.payer.currency;
    let mut owed = desk.ledger.balance(&Account::Receivable(desk.payer.id.clone()), currency, Moment::LAST)?;
    let mut credits = Vec::new();
    for grant in &desk.grants {
        credits.push((grant, desk.ledger.balance(&grant.account(), currency, Moment::LAST)?.negated()));
    }
    credits.sort_by_key(|(grant, _)| grant.order());
    for spent in open {
        let mut due = spent.total;
        for (_, left) in credits.iter_mut().filter(|(grant, _)| grant.pays(&spent.period)) {
            let paid = left.least(due)?;
            (*left, due) = (left.minus(paid)?, due.minus(paid)?);
        }
        owed = owed.plus(due)?;
    }
    let left = credits.iter().filter(|(grant, _)| grant.pays(period)).map(|(_, left)| *left);
    let left = Money::sum(currency, left)?.minus(owed)?;
    Ok(!left.is_zero() && !left.is_negative())
}

/// The first allowance of a plan of which nothing is left. Partners' models are never free, and what was used under another plan is none of this one's.
fn used_up<'a>(desk: &Desk, plan: &'a Plan, state: &State, used: &[Rollup]) -> Result<Option<&'a Allowance>> {
    let mut by_model = BTreeMap::<&str, Vec<&Rollup>>::new();
    for rollup in used.iter().filter(|rollup| desk.sold.catalogue.partner(&rollup.model).is_none()) {
        if desk.subscription.last_plan(rollup.from.later(1))?.as_ref() == Some(&plan.id) {
            by_model.entry(&rollup.model).or_default().push(rollup);
        }
    }
    Ok(plan.allowances().iter().find(|allowance| {
        let covered = by_model.iter().filter(|(model, _)| allowance.models.matches(model)).flat_map(|(_, rollups)| rollups);
        let sum: u128 = covered.flat_map(|rollup| allowance.units.iter().map(|unit| u128::from(rollup.usage.of(*unit)))).sum();
        sum >= u128::from(allowance.quantity) * u128::from(plan.seats(state.seats))
    }))
}

/// Finds out whether a tenant's calls are to stop or to go on, and tells the gateways where that has changed. Cheap for a tenant who cannot be stopped.
pub async fn check(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) -> Result<()> {
    // First without keeping anybody waiting: most of the time nothing has changed.
    let wanted = reason(billing, &mut *store.reads()?.acquire().await?, tenant, now).await?.unwrap_or_default();
    if tenants::find(store, &tenant.id).await?.is_none_or(|known| known.stopped == wanted) {
        return Ok(());
    }
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    // Again, now that nobody else changes anything: credit may have come, or another plan.
    let wanted = reason(billing, change.connection(), tenant, now).await?.unwrap_or_default();
    put(change, tenant, &wanted).await
}

/// The same behind a change that is made and answered: what cannot be found out now is looked at again in a while.
pub async fn check_or_later(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) {
    if let Err(refusal) = check(billing, store, tenant, now).await {
        tracing::warn!(?refusal, tenant = tenant.name, "whether calls are to stop cannot be found out; it is looked at again in a while");
    }
}

/// Lets the calls of every tenant go on.
pub(super) async fn end_all(store: &Store, now: i64) -> Result<()> {
    let rows = sqlx::query("SELECT id FROM tenants WHERE stopped <> ''").fetch_all(store.reads()?).await?;
    for row in rows {
        if let Some(tenant) = tenants::find(store, row.try_get("id")?).await? {
            put(Change::begin(store, &Asker::Itself, now).await?, &tenant, "").await?;
        }
    }
    Ok(())
}

/// Keeps why a tenant's calls stop, where that is something new: with all of its credentials, as a suspension is.
async fn put(mut change: Change, tenant: &Tenant, wanted: &str) -> Result<()> {
    let query =
        sqlx::query("UPDATE tenants SET stopped = $2 WHERE id = $1 AND stopped <> $2").bind(tenant.id.clone()).bind(wanted.to_owned());
    if query.execute(change.connection()).await?.rows_affected() == 0 {
        return Ok(());
    }
    let revision = change.revision();
    let query = sqlx::query("UPDATE credentials SET revision = $2 WHERE tenant_id = $1").bind(tenant.id.clone()).bind(revision);
    query.execute(change.connection()).await?;
    webhooks::happened(&mut change, &tenant.id, &Event::calls(wanted)).await?;
    let what = if wanted.is_empty() { "calls go on" } else { "calls stopped" };
    change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what, detail: wanted }).await
}
