//! Plans: what a tenant pays for besides the price of what it uses.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{error::BillingError, moment::Moment, money::Money, period::Period, selector::Selector, share::Share, unit::Unit};

/// Units that are not charged, so many a period.
///
/// It never covers models of partners: what nobody pays for, nobody could be paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Which units it covers; they are counted together.
    pub units: BTreeSet<Unit>,
    /// Of which models.
    pub models: Selector,
    /// How many a period; of a bundle, a seat.
    pub quantity: u64,
}

/// What becomes of use beyond a freemium plan's free units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// It is refused; what got through all the same is not charged, where free units are for its model.
    Stop,
    /// It is charged by the plan's list.
    Charge,
}

/// The five ways of charging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum PlanKind {
    /// A fee for each period, units that it includes, and the list's prices beyond.
    Subscription {
        /// For a whole period.
        fee: Money,
        /// What it includes.
        included: Vec<Allowance>,
    },
    /// The list's prices and nothing else.
    PayPerUse,
    /// Free units for each period.
    Freemium {
        /// How many.
        free: Vec<Allowance>,
        /// And then.
        beyond: Beyond,
    },
    /// A price for each seat, and units that each seat brings along for all of the tenant; the list's prices beyond.
    Bundle {
        /// For a whole period.
        seat: Money,
        /// The fewest seats that are charged.
        least_seats: u32,
        /// What each seat includes.
        included: Vec<Allowance>,
    },
    /// A provider's: it publishes models at prices of its own, and the platform keeps a share of what they bring in. Its own use is charged by the list.
    Partner {
        /// For a whole period; may be nothing.
        fee: Money,
        /// What the platform keeps.
        platform_share: Share,
    },
}

/// A plan. Its terms stay as they are: other terms are another plan, with an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What subscriptions and invoices name it by.
    pub id: String,
    /// Which list of prices use is charged by.
    pub list: String,
    /// How it charges.
    pub kind: PlanKind,
    /// What a period costs at least, discounts apart.
    pub minimum: Option<Money>,
}

impl Plan {
    /// What a whole period of it costs with so many seats.
    pub fn fee(&self, seats: u32) -> Result<Option<Money>, BillingError> {
        match &self.kind {
            PlanKind::Subscription { fee, .. } | PlanKind::Partner { fee, .. } => Ok(Some(*fee)),
            PlanKind::Bundle { seat, least_seats, .. } => seat.times(seats.max(*least_seats).into()).map(Some),
            PlanKind::PayPerUse | PlanKind::Freemium { .. } => Ok(None),
        }
    }

    /// The seats that are charged; 1 of a plan that has none.
    pub fn seats(&self, seats: u32) -> u32 {
        match &self.kind {
            PlanKind::Bundle { least_seats, .. } => seats.max(*least_seats),
            _ => 1,
        }
    }

    /// What a period includes; of a bundle, for each seat.
    pub fn allowances(&self) -> &[Allowance] {
        match &self.kind {
            PlanKind::Subscription { included, .. } | PlanKind::Bundle { included, .. } => included,
            PlanKind::Freemium { free, .. } => free,
            PlanKind::PayPerUse | PlanKind::Partner { .. } => &[],
        }
    }

    /// Whether calls are to be refused when what is free is used up.
    pub fn stops(&self) -> bool {
        matches!(self.kind, PlanKind::Freemium { beyond: Beyond::Stop, .. })
    }

    /// Whether use of a model beyond what is free is not charged: the plan stops, and some of its free units are for this model.
    pub(crate) fn stops_for(&self, model: &str) -> bool {
        self.stops() && self.allowances().iter().any(|one| one.models.matches(model))
    }
}

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its tenant id.
    pub id: String,
    /// Its models.
    pub models: Vec<Selector>,
    /// From when the platform keeps which share of what they bring in.
    pub terms: BTreeMap<Moment, Share>,
}

impl Partner {
    /// What the platform keeps of a period's use: by the terms at its beginning, or by the first of all.
    pub fn platform_share(&self, period: &Period) -> Share {
        let terms = self.terms.range(..=period.start).next_back().or_else(|| self.terms.first_key_value());
        terms.map(|(_, share)| *share).unwrap_or_default()
    }
}

/// Whether a call may be let in, as far as free units go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeUse {
    /// Free units are left: so many.
    Left(u64),
    /// It will be charged.
    Charged,
    /// Nothing is left, and the plan does not charge for this model: refuse it.
    Stop,
}

impl Plan {
    /// What [`crate::Catalogue::free_use`] says of a model that is no partner's.
    pub(crate) fn free_use(&self, model: &str, unit: Unit, seats: u32, used: u64) -> FreeUse {
        let covers = |one: &&Allowance| one.units.contains(&unit) && one.models.matches(model);
        let seats = u64::from(self.seats(seats));
        let all = self.allowances().iter().filter(covers).fold(0_u64, |sum, one| sum.saturating_add(one.quantity.saturating_mul(seats)));
        match all.checked_sub(used) {
            Some(left) if left > 0 => FreeUse::Left(left),
            _ if self.stops_for(model) => FreeUse::Stop,
            _ => FreeUse::Charged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_plan_lets_in_what_is_free_and_then_stops_or_charges() {
        let free = vec![Allowance { units: [Unit::Calls].into(), models: Selector::any(), quantity: 10 }];
        let plan =
            |beyond| Plan { id: "free".into(), list: "l".into(), kind: PlanKind::Freemium { free: free.clone(), beyond }, minimum: None };
        let stops = plan(Beyond::Stop);
        assert_eq!(stops.free_use("m", Unit::Calls, 0, 9), FreeUse::Left(1));
        assert_eq!(stops.free_use("m", Unit::Calls, 0, 10), FreeUse::Stop);
        assert_eq!(stops.free_use("m", Unit::Items, 0, 0), FreeUse::Stop);
        let of_others = vec![Allowance { models: "other".parse().unwrap(), ..free[0].clone() }];
        let others = Plan { kind: PlanKind::Freemium { free: of_others, beyond: Beyond::Stop }, ..stops.clone() };
        assert_eq!(others.free_use("m", Unit::Calls, 0, 0), FreeUse::Charged, "free units are for another model");
        assert_eq!(plan(Beyond::Charge).free_use("m", Unit::Calls, 0, 10), FreeUse::Charged);
    }

    #[test]
    fn a_bundle_is_charged_for_the_least_seats_and_its_seats_bring_units_along() {
        let included = vec![Allowance { units: [Unit::Items].into(), models: Selector::any(), quantity: 100 }];
        let kind = PlanKind::Bundle { seat: "9.00 EUR".parse().unwrap(), least_seats: 3, included };
        let plan = Plan { id: "team".into(), list: "l".into(), kind, minimum: None };
        assert_eq!(plan.fee(2).unwrap().unwrap().to_string(), "27.00 EUR");
        assert_eq!(plan.fee(5).unwrap().unwrap().to_string(), "45.00 EUR");
        assert_eq!(plan.free_use("m", Unit::Items, 2, 299), FreeUse::Left(1));
        assert_eq!(plan.free_use("m", Unit::Items, 2, 300), FreeUse::Charged);
    }
}
