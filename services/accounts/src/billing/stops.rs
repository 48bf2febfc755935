//! When a tenant's calls are to stop: what is free, or what was paid in advance, is used up. Gateways are told with the tenant's credentials, and refuse in these words.

use std::collections::BTreeMap;

use sqlx::Row as _;
use torchmesh_billing::{Invoice, Money, Rollup, catalogue::Catalogue, plan::Allowance, plan::Plan, subscription::State};

use super::{Billing, Desk, moment};
use crate::{
    access::Asker,
    error::Result,
    store::{Change, Store, Told},
    tenants::{self, Tenant},
};

/// Why the calls of a tenant are to stop; none: they go on.
fn reason(desk: &Desk, state: Option<&State>, used: &[Rollup], spent: &Invoice) -> Result<Option<String>> {
    let until = spent.period.end.date();
    if desk.profile.prepaid && left(desk, spent)?.is_none() {
        return Ok(Some("the prepaid credit is used up; add credit, and calls go on".to_owned()));
    }
    let Some(state) = state else { return Ok(None) };
    let plan = desk.sold.catalogue.plan(&state.plan)?;
    let used_up = plan.stops().then(|| used_up(&desk.sold.catalogue, plan, state.seats, used)).flatten();
    Ok(used_up.map(|allowance| {
        let units = allowance.units.iter().map(|unit| unit.name()).collect::<Vec<_>>().join(", ");
        format!(
            "what the plan {:?} gives for nothing is used up ({} of {units} a period); subscribe to another plan, or wait until {until}, when the next period begins",
            plan.id, allowance.quantity
        )
    }))
}

/// What is left of credit when what was spent so far, and what is owed from before, is paid by it; none: nothing is.
fn left(desk: &Desk, spent: &Invoice) -> Result<Option<Money>> {
    let account = torchmesh_billing::Account::Receivable(desk.payer.id.clone());
    let mut left = Money::zero(spent.currency);
    for grant in desk.grants.iter().filter(|grant| grant.pays(&spent.period)) {
        left = left.minus(desk.ledger.balance(&grant.account(), spent.currency, torchmesh_billing::Moment::LAST)?)?;
    }
    let owed = desk.ledger.balance(&account, spent.currency, torchmesh_billing::Moment::LAST)?;
    left = left.minus(spent.total)?.minus(owed)?;
    Ok((!left.is_zero() && !left.is_negative()).then_some(left))
}

/// The first allowance of a plan of which nothing is left. Partners' models are never free.
fn used_up<'a>(catalogue: &Catalogue, plan: &'a Plan, seats: u32, used: &[Rollup]) -> Option<&'a Allowance> {
    let mut by_model = BTreeMap::<&str, Vec<&Rollup>>::new();
    for rollup in used.iter().filter(|rollup| catalogue.partner(&rollup.model).is_none()) {
        by_model.entry(&rollup.model).or_default().push(rollup);
    }
    plan.allowances().iter().find(|allowance| {
        let covered = by_model.iter().filter(|(model, _)| allowance.models.matches(model)).flat_map(|(_, rollups)| rollups);
        let sum: u128 = covered.flat_map(|rollup| allowance.units.iter().map(|unit| u128::from(rollup.usage.of(*unit)))).sum();
        sum >= u128::from(allowance.quantity) * u128::from(plan.seats(seats))
    })
}

/// Finds out whether a tenant's calls are to stop or to go on, and tells the gateways where that has changed. Cheap for a tenant who cannot be stopped.
pub async fn check(billing: &Billing, store: &Store, tenant: &Tenant, now: i64) -> Result<()> {
    let wanted = {
        let mut connection = store.reads()?.acquire().await?;
        match Desk::open(billing, &mut connection, tenant).await? {
            Some(desk) => of_desk(&desk, &mut connection, now).await?,
            None => None,
        }
    };
    put(store, tenant, &wanted.unwrap_or_default(), now).await
}

/// The same for a desk that is open.
async fn of_desk(desk: &Desk, connection: &mut sqlx::AnyConnection, now: i64) -> Result<Option<String>> {
    let at = moment(now)?;
    let state = desk.subscription.state(at)?;
    let stops = state.as_ref().is_some_and(|state| desk.sold.catalogue.plan(&state.plan).is_ok_and(Plan::stops));
    if !stops && !desk.profile.prepaid {
        return Ok(None);
    }
    let period = desk.anchor().period(at)?;
    let used = desk.used(&mut *connection, &period).await?;
    let spent = torchmesh_billing::invoice(&desk.bill("", period, at.later(1), &used))?;
    reason(desk, state.as_ref(), &used, &spent)
}

/// Lets the calls of every tenant go on.
pub(super) async fn end_all(store: &Store, now: i64) -> Result<()> {
    let rows = sqlx::query("SELECT id FROM tenants WHERE stopped <> ''").fetch_all(store.reads()?).await?;
    for row in rows {
        if let Some(tenant) = tenants::find(store, row.try_get("id")?).await? {
            put(store, &tenant, "", now).await?;
        }
    }
    Ok(())
}

/// Keeps why a tenant's calls stop, where that is something new: with all of its credentials, as a suspension is.
async fn put(store: &Store, tenant: &Tenant, wanted: &str, now: i64) -> Result<()> {
    let stands = tenants::find(store, &tenant.id).await?.is_none_or(|known| known.stopped == wanted);
    if stands {
        return Ok(());
    }
    let mut change = Change::begin(store, &Asker::Itself, now).await?;
    let query =
        sqlx::query("UPDATE tenants SET stopped = $2 WHERE id = $1 AND stopped <> $2").bind(tenant.id.clone()).bind(wanted.to_owned());
    if query.execute(change.connection()).await?.rows_affected() == 0 {
        return Ok(());
    }
    let revision = change.revision();
    let query = sqlx::query("UPDATE credentials SET revision = $2 WHERE tenant_id = $1").bind(tenant.id.clone()).bind(revision);
    query.execute(change.connection()).await?;
    let what = if wanted.is_empty() { "calls go on" } else { "calls stopped" };
    change.commit(Told { tenant_id: &tenant.id, subject: &tenant.id, what, detail: wanted }).await
}
