//! From rollups to lines.
//!
//! Rollups are summed by plan, model and price version before anything is multiplied, so that how use was gathered cannot matter: the sums are the same.

mod gather;

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap};

use super::{Bill, Item, Line, PartnerCut, fees};
use crate::{
    error::BillingError,
    moment::Moment,
    money::{Money, split_count},
    period::Period,
    plan::{Allowance, Plan},
    price::{Rate, UnitPrice},
    subscription::{Stretch, Subscription},
    unit::Unit,
};

/// Use of one unit of one model under one version of its price, by batches or by other calls.
struct Group<'a> {
    plan: &'a str,
    model: &'a str,
    unit: Unit,
    from: Moment,
    batch: bool,
    version: &'a str,
    correction: Option<&'a str>,
    rate: Cow<'a, Rate>,
    quantity: u64,
    /// How much of it the plan includes.
    included: u64,
}

/// Which plan use belongs to. Use after the end of a subscription belongs to the plan that ended: a call may go on for a while.
pub(super) fn plans(subscription: &Subscription, stretches: &[Stretch]) -> Result<Vec<(Period, String)>, BillingError> {
    let before = stretches.first().map_or(Moment::FIRST, |stretch| stretch.time.start);
    let mut last = subscription.last_plan(before)?;
    let mut plans: Vec<(Period, String)> = Vec::new();
    for stretch in stretches {
        last = stretch.plan().map(ToOwned::to_owned).or(last);
        let Some(plan) = &last else { continue };
        match plans.last_mut() {
            Some((time, same)) if same == plan => time.end = stretch.time.end,
            _ => plans.push((stretch.time, plan.clone())),
        }
    }
    Ok(plans)
}

/// Adds the lines of all use.
pub(super) fn usage(bill: &Bill<'_>, stretches: &[Stretch], lines: &mut Vec<Line>) -> Result<(), BillingError> {
    let plans = plans(bill.subscription, stretches)?;
    let gathered = gather::gather(bill, &plans)?;
    let mut groups = gathered.groups()?;
    for (id, of_plan) in by_plan(&mut groups) {
        let plan = bill.catalogue.plan(id)?;
        for allowance in plan.allowances() {
            let quantity = included(allowance, plan, stretches)?;
            cover(bill, allowance, quantity, of_plan);
        }
        charge(bill, plan, of_plan, lines)?;
    }
    Ok(())
}

/// Groups are sorted by plan: cut where it changes.
fn by_plan<'g, 'a>(groups: &'g mut [Group<'a>]) -> impl Iterator<Item = (&'a str, &'g mut [Group<'a>])> {
    groups.chunk_by_mut(|one, other| one.plan == other.plan).map(|chunk| (chunk[0].plan, chunk))
}

/// What an allowance comes to: the parts of the stretches in which the plan holds, each by its seconds and seats.
fn included(allowance: &Allowance, plan: &Plan, stretches: &[Stretch]) -> Result<u64, BillingError> {
    let weights = fees::weights(stretches);
    let mut all = 0_u128;
    for (at, stretch) in stretches.iter().enumerate() {
        let Some(state) = stretch.state.as_ref().filter(|state| state.plan == plan.id) else { continue };
        let whole = u128::from(allowance.quantity) * u128::from(plan.seats(state.seats));
        all += split_count(whole.min(u64::MAX.into()), &weights)?[at];
    }
    Ok(u64::try_from(all).unwrap_or(u64::MAX))
}

/// Takes what an allowance covers off the dearest use first; of what is as dear, by model and unit.
fn cover(bill: &Bill<'_>, allowance: &Allowance, mut left: u64, groups: &mut [Group<'_>]) {
    let covered = |group: &&mut Group<'_>| {
        allowance.units.contains(&group.unit) && allowance.models.matches(group.model) && bill.catalogue.partner(group.model).is_none()
    };
    let mut open: Vec<_> = groups.iter_mut().filter(covered).collect();
    // Stable: where prices are the same, the order of the groups stays.
    open.sort_by_key(|group| Reverse(dearness(group.rate.first())));
    for group in open {
        let taken = left.min(group.quantity - group.included);
        group.included += taken;
        left -= taken;
    }
}

/// The price of a unit, as a whole part and what is left of it in 2^-60 parts: two prices for different numbers of units are compared by it.
fn dearness(price: UnitPrice) -> (i128, i128) {
    let (pico, per) = (price.price.pico(), i128::from(price.per));
    (pico / per, ((pico % per) << 60) / per)
}

fn charge(bill: &Bill<'_>, plan: &Plan, groups: &[Group<'_>], lines: &mut Vec<Line>) -> Result<(), BillingError> {
    let nothing = Money::zero(bill.tenant.currency);
    let mut totals: BTreeMap<(&str, Unit), u64> = BTreeMap::new();
    for group in groups {
        let total = totals.entry((group.model, group.unit)).or_default();
        *total = total.checked_add(group.quantity - group.included).ok_or(BillingError::TooLarge)?;
    }
    let mut before: BTreeMap<(&str, Unit), u64> = BTreeMap::new();
    for group in groups {
        let (model, unit, open) = (group.model.to_owned(), group.unit, group.quantity - group.included);
        if group.included > 0 {
            lines.push(Line::new(&plan.id, Item::Included { model: model.clone(), unit }, group.included, None, nothing));
        }
        if open == 0 {
            continue;
        }
        if bill.catalogue.is_not_charged(plan, group.model) {
            lines.push(Line::new(&plan.id, Item::NotCharged { model, unit }, open, None, nothing));
            continue;
        }
        let before = before.entry((group.model, group.unit)).or_default();
        rated(bill, group, *before, open, totals[&(group.model, group.unit)], lines)?;
        *before += open;
    }
    Ok(())
}

fn rated(bill: &Bill<'_>, group: &Group<'_>, before: u64, open: u64, total: u64, lines: &mut Vec<Line>) -> Result<(), BillingError> {
    let partner = bill.catalogue.partner(group.model);
    for piece in group.rate.pieces(before, open, total) {
        let amount = piece.price.of(piece.quantity)?;
        let item = Item::Usage {
            model: group.model.to_owned(),
            unit: group.unit,
            price: group.version.to_owned(),
            correction: group.correction.map(ToOwned::to_owned),
            tier: piece.tier,
            batch: group.batch,
        };
        let mut line = Line::new(group.plan, item, piece.quantity, Some(piece.price), amount);
        if let Some(partner) = partner {
            let platform = partner.platform_share(&bill.period).of(amount)?;
            line.partner = Some(PartnerCut { partner: partner.id.clone(), platform, payable: amount.minus(platform)? });
        }
        lines.push(line);
    }
    Ok(())
}
