//! Sums rollups by plan, model and the price that is in force.

use std::collections::{BTreeSet, HashMap};

use super::Group;
use crate::{
    catalogue::Catalogue,
    error::BillingError,
    invoice::Bill,
    moment::Moment,
    period::Period,
    price::InForce,
    unit::{Rollup, Unit, Usage},
};

/// A time in which one price holds for a model, and what was used in it.
struct Slot<'a> {
    from: Moment,
    price: Option<InForce<'a>>,
    calls: Usage,
    /// Used by lines of batches.
    batches: Usage,
}

impl<'a> Slot<'a> {
    fn add(&mut self, rollup: &Rollup) -> Result<(), BillingError> {
        let used = if rollup.batch { &mut self.batches } else { &mut self.calls };
        *used = used.plus(&rollup.usage)?;
        Ok(())
    }

    /// What was used and whether by batches; all of it together where those cost what every call does.
    fn used(&self, price: &InForce<'_>) -> Result<[(bool, Usage); 2], BillingError> {
        Ok(match price.version.batch {
            Some(_) => [(false, self.calls), (true, self.batches)],
            None => [(false, self.calls.plus(&self.batches)?), (true, Usage::default())],
        })
    }

    fn groups(&self, plan: &'a str, model: &'a str, groups: &mut Vec<Group<'a>>) -> Result<(), BillingError> {
        let Some(price) = self.price else { return Ok(()) };
        let correction = price.correction.map(|correction| correction.id.as_str());
        for (batch, used) in self.used(&price)? {
            for (unit, rate) in price.rates() {
                let quantity = quantity(&used, *unit, &price)?;
                if quantity > 0 {
                    let (from, version, rate) = (self.from, price.version.id.as_str(), price.charged(rate, batch)?);
                    groups.push(Group { plan, model, unit: *unit, from, batch, version, correction, rate, quantity, included: 0 });
                }
            }
        }
        Ok(())
    }
}

/// All use of a period.
pub(super) struct Gathered<'a> {
    /// The plans of the period, each as the catalogue has it.
    plans: Vec<Charged<'a>>,
    slots: HashMap<(usize, &'a str), Vec<Slot<'a>>>,
    catalogue: &'a Catalogue,
    known: Moment,
}

/// A plan and when it holds.
struct Charged<'a> {
    time: Period,
    /// The plan's id and its list.
    id: &'a str,
    list: &'a str,
    /// The first stretch of the same plan: its use is counted together.
    first: usize,
    /// Where a price of the list may change.
    changes: BTreeSet<Moment>,
}

pub(super) fn gather<'a>(bill: &Bill<'a>, plans: &[(Period, String)]) -> Result<Gathered<'a>, BillingError> {
    let mut charged: Vec<Charged<'a>> = Vec::new();
    for (time, id) in plans {
        let plan = bill.catalogue.plan(id)?;
        let first = charged.iter().position(|one| one.id == plan.id).unwrap_or(charged.len());
        let changes = bill.catalogue.prices.changes(&plan.list).filter(|at| bill.period.contains(*at));
        let changes = changes.chain([bill.period.start]).collect();
        charged.push(Charged { time: *time, id: &plan.id, list: &plan.list, first, changes });
    }
    let mut gathered = Gathered { plans: charged, slots: HashMap::new(), catalogue: bill.catalogue, known: bill.issued };
    for rollup in bill.usage {
        gathered.take(&bill.period, rollup)?;
    }
    Ok(gathered)
}

impl<'a> Gathered<'a> {
    fn take(&mut self, period: &Period, rollup: &'a Rollup) -> Result<(), BillingError> {
        rollup.check()?;
        if rollup.usage.is_nothing() || rollup.time().meet(period).is_none() {
            return Ok(());
        }
        let spans = |boundary| Err(BillingError::RollupSpans { from: rollup.from, boundary });
        if rollup.from < period.start {
            return spans(period.start);
        }
        let at = self.plans.iter().position(|plan| plan.time.contains(rollup.from));
        let Some(plan) = at.map(|at| &self.plans[at]) else { return Err(BillingError::UseBeforeStart(rollup.from)) };
        if plan.time.end < rollup.to {
            return spans(plan.time.end);
        }
        let (catalogue, known) = (self.catalogue, self.known);
        let slots = self.slots.entry((plan.first, rollup.model.as_str())).or_insert_with(|| slots(catalogue, plan, &rollup.model, known));
        let after = slots.partition_point(|slot| slot.from <= rollup.from);
        if let Some(next) = slots.get(after).filter(|next| next.from < rollup.to) {
            return spans(next.from);
        }
        let Some(slot) = after.checked_sub(1).and_then(|at| slots.get_mut(at)) else {
            return Err(BillingError::UseBeforeStart(rollup.from));
        };
        if slot.price.is_none() {
            return Err(BillingError::NoPrice { list: plan.list.to_owned(), model: rollup.model.clone(), at: rollup.from });
        }
        slot.add(rollup)
    }

    /// What was used, sorted by plan, model, unit and time; what batches used behind what else was used in that time.
    pub(super) fn groups(&self) -> Result<Vec<Group<'a>>, BillingError> {
        let mut groups = Vec::new();
        for ((plan, model), slots) in &self.slots {
            for slot in slots {
                slot.groups(self.plans[*plan].id, model, &mut groups)?;
            }
        }
        groups.sort_by_key(|group| (group.plan, group.model, group.unit, group.from, group.batch));
        Ok(groups)
    }
}

/// The prices of a model over the period: a slot wherever another version takes over.
fn slots<'a>(catalogue: &'a Catalogue, plan: &Charged<'a>, model: &str, known: Moment) -> Vec<Slot<'a>> {
    let mut slots: Vec<Slot<'a>> = Vec::new();
    for from in &plan.changes {
        let price = catalogue.prices.in_force(plan.list, model, *from, known);
        if slots.last().is_none_or(|last| last.price != price) {
            slots.push(Slot { from: *from, price, calls: Usage::default(), batches: Usage::default() });
        }
    }
    slots
}

/// How much of a unit is charged: of prompt tokens, those that were not in the cache, where those have a price of their own.
fn quantity(used: &Usage, unit: Unit, price: &InForce<'_>) -> Result<u64, BillingError> {
    let apart = unit == Unit::PromptTokens && price.rates().contains_key(&Unit::CachedTokens);
    let cached = if apart { used.cached_tokens } else { 0 };
    used.of(unit).checked_sub(cached).ok_or(BillingError::TooLarge)
}
