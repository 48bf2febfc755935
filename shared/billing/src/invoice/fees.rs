//! What a plan costs whether it is used or not.
//!
//! A fee is split over the stretches of its period by their seconds, largest remainder first, so that the parts of a whole period are the whole fee.

use super::{Bill, Item, Line};
use crate::{
    error::BillingError,
    money::Money,
    plan::{Plan, PlanKind},
    price::UnitPrice,
    subscription::Stretch,
};

impl Line {
    /// A line without discount, tax and number, which are found when all lines are there.
    pub(super) fn new(plan: &str, item: Item, quantity: u64, unit_price: Option<UnitPrice>, amount: Money) -> Self {
        let nothing = Money::zero(amount.currency());
        Self {
            number: 0,
            plan: plan.to_owned(),
            item,
            quantity,
            unit_price,
            amount,
            discount: nothing,
            net: amount,
            tax: nothing,
            partner: None,
        }
    }
}

pub(super) fn weights(stretches: &[Stretch]) -> Vec<u64> {
    stretches.iter().map(|stretch| stretch.time.seconds()).collect()
}

/// A line for each stretch in which a fee is charged.
pub(super) fn fees(bill: &Bill<'_>, stretches: &[Stretch]) -> Result<Vec<Line>, BillingError> {
    let weights = weights(stretches);
    let mut lines = Vec::new();
    for (at, stretch) in stretches.iter().enumerate() {
        let Some(state) = &stretch.state else { continue };
        let plan = bill.catalogue.plan(&state.plan)?;
        let Some(fee) = plan.fee(state.seats)?.filter(|fee| !fee.is_zero()) else { continue };
        if stretch.trial {
            let nothing = Money::zero(bill.tenant.currency);
            lines.push(Line::new(&plan.id, Item::Trial { time: stretch.time }, plan.seats(state.seats).into(), None, nothing));
            continue;
        }
        let (item, price) = priced(plan, stretch, bill.period.seconds(), fee);
        let amount = fee.split(&weights)?[at];
        lines.push(Line::new(&plan.id, item, plan.seats(state.seats).into(), Some(UnitPrice { price, per: 1 }), amount));
    }
    Ok(lines)
}

fn priced(plan: &Plan, stretch: &Stretch, of: u64, fee: Money) -> (Item, Money) {
    let (time, seconds) = (stretch.time, stretch.time.seconds());
    match &plan.kind {
        PlanKind::Bundle { seat, .. } => (Item::Seats { time, seconds, of }, *seat),
        _ => (Item::Fee { time, seconds, of }, fee),
    }
}

/// A line for what is missing to a plan's minimum, which is prorated as its fee is.
pub(super) fn minimum(bill: &Bill<'_>, stretches: &[Stretch], lines: &mut Vec<Line>) -> Result<(), BillingError> {
    let weights = weights(stretches);
    let mut plans: Vec<&str> = stretches.iter().filter_map(Stretch::plan).collect();
    plans.sort_unstable();
    plans.dedup();
    for id in plans {
        let Some(minimum) = bill.catalogue.plan(id)?.minimum else { continue };
        let parts = minimum.split(&weights)?.into_iter().zip(stretches);
        let charged = parts.filter(|(_, stretch)| stretch.plan() == Some(id) && !stretch.trial).map(|(part, _)| part);
        let least = Money::sum(bill.tenant.currency, charged)?;
        let there = Money::sum(bill.tenant.currency, lines.iter().filter(|line| line.plan == id).map(|line| line.amount))?;
        let missing = least.minus(there)?;
        if !missing.is_zero() && !missing.is_negative() {
            lines.push(Line::new(id, Item::Minimum, 1, Some(UnitPrice { price: minimum, per: 1 }), missing));
        }
    }
    Ok(())
}
