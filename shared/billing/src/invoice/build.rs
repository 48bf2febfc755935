//! From what is written down to an invoice.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Invoice, Line, fees, reduce, usage};
use crate::{
    catalogue::Catalogue, credit::CreditGrant, currency::Currency, error::BillingError, ledger::Ledger, moment::Moment, money::Money,
    period::Period, share::Share, subscription::Subscription, unit::Rollup,
};

/// A tax on what a tenant is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tax {
    /// Its name, such as `VAT`.
    pub name: String,
    /// How much of the net.
    pub rate: Share,
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// What it is billed in.
    pub currency: Currency,
    /// What it is taxed; none: nothing.
    pub tax: Option<Tax>,
}

/// All that an invoice is made of. The order of rollups, credits and entries does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Bill<'a> {
    /// The number that the invoice gets.
    pub number: &'a str,
    /// Who pays.
    pub tenant: &'a Tenant,
    /// For which period.
    pub period: Period,
    /// When it is issued. Entries of the ledger from then on, and corrections of prices that are known later, do not count: what was issued can be made again, to
    /// the byte.
    pub issued: Moment,
    /// What is sold.
    pub catalogue: &'a Catalogue,
    /// What the tenant subscribed to.
    pub subscription: &'a Subscription,
    /// What the tenant used; what lies outside of the period does not count. Use has no time at which it became known: to make an invoice again, give the use that had
    /// come when it was issued; what came late is billed by [`crate::reissue`].
    pub usage: &'a [Rollup],
    /// The tenant's credits.
    pub grants: &'a [CreditGrant],
    /// What was posted; of all tenants, or of this one alone, which is quicker.
    pub ledger: &'a Ledger,
}

/// What a tenant owes for a period.
pub fn invoice(bill: &Bill<'_>) -> Result<Invoice, BillingError> {
    make(bill, None)
}

/// The same, of an invoice that takes another one's place.
pub(crate) fn invoice_in_place_of(replaces: &str, bill: &Bill<'_>) -> Result<Invoice, BillingError> {
    make(bill, Some(replaces))
}

fn make(bill: &Bill<'_>, replaces: Option<&str>) -> Result<Invoice, BillingError> {
    let (tenant, currency) = (bill.tenant, bill.tenant.currency);
    let stretches = bill.subscription.stretches(&bill.period)?;
    let mut lines = fees::fees(bill, &stretches)?;
    usage::usage(bill, &stretches, &mut lines)?;
    fees::minimum(bill, &stretches, &mut lines)?;
    number(&mut lines);
    let sum = |lines: &[Line], of: fn(&Line) -> Money| Money::sum(currency, lines.iter().map(of));
    let subtotal = sum(&lines, |line| line.amount)?;
    let discounts = reduce::discounts(bill, subtotal)?;
    reduce::spread(&mut lines, &discounts, currency)?;
    let rate = tenant.tax.as_ref().map(|tax| tax.rate).unwrap_or_default();
    for line in &mut lines {
        line.net = line.amount.minus(line.discount)?;
        line.tax = rate.of(line.net)?;
    }
    let (net, tax) = (sum(&lines, |line| line.net)?, sum(&lines, |line| line.tax)?);
    let total = net.plus(tax)?;
    let credits = reduce::credits(bill, total)?;
    let due = credits.iter().try_fold(total, |due, used| due.minus(used.amount))?;
    Ok(Invoice {
        number: bill.number.to_owned(),
        tenant: tenant.id.clone(),
        currency,
        period: bill.period,
        issued: bill.issued,
        replaces: replaces.map(ToOwned::to_owned),
        lines,
        subtotal,
        discounts,
        net,
        tax_name: tenant.tax.as_ref().map(|tax| tax.name.clone()),
        tax_rate: rate,
        tax,
        total,
        credits,
        due,
    })
}

fn number(lines: &mut [Line]) {
    for (number, line) in (1..).zip(lines) {
        line.number = number;
    }
}

/// The instants within a period at which rollups must be split: where the plan or one of its prices changes.
pub fn boundaries(catalogue: &Catalogue, subscription: &Subscription, period: &Period) -> Result<BTreeSet<Moment>, BillingError> {
    let mut found: BTreeSet<Moment> = [period.start, period.end].into();
    let stretches = subscription.stretches(period)?;
    for (time, plan) in usage::plans(subscription, &stretches)? {
        found.insert(time.start);
        let changes = catalogue.prices.changes(&catalogue.plan(&plan)?.list);
        found.extend(changes.filter(|at| time.contains(*at)));
    }
    Ok(found)
}
