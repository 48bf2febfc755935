//! What a tenant subscribed to, and when it changed that.

mod timeline;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use timeline::{State, Stretch};

use crate::{
    error::BillingError,
    moment::Moment,
    period::{Anchor, Period},
};

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once.
    Now,
    /// When the period ends that it is asked for in.
    PeriodEnd,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The subscription begins, or begins again.
    Start {
        /// Which plan.
        plan: String,
        /// How many seats; of plans without seats it says nothing.
        seats: u32,
        /// Until when fees and minimum are not charged.
        trial_until: Option<Moment>,
    },
    /// Another plan.
    Plan {
        /// Which.
        plan: String,
        /// When.
        when: When,
    },
    /// Another number of seats, at once.
    Seats {
        /// How many.
        seats: u32,
    },
    /// The subscription ends.
    Cancel {
        /// When.
        when: When,
    },
    /// What was to happen at the period's end does not happen. (Whoever asks for another plan or a cancellation takes it back as well: the last word counts.)
    Keep,
    /// A coupon is redeemed.
    Coupon {
        /// Its code.
        code: String,
    },
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionEvent {
    /// Its id: the same change has the same, however often it is told.
    pub id: String,
    /// When it was asked for.
    pub at: Moment,
    /// What.
    pub change: Change,
}

/// A tenant's changes, in the order of their time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    anchor: Anchor,
    events: Vec<SubscriptionEvent>,
}

impl Subscription {
    /// Takes changes in whatever order; the same one twice counts once. Of those at the same instant the lower id is first.
    ///
    /// Error: a change cannot be (another plan where there is none), or two with one id differ.
    pub fn new(anchor: Anchor, events: impl IntoIterator<Item = SubscriptionEvent>) -> Result<Self, BillingError> {
        let mut by_id: BTreeMap<String, SubscriptionEvent> = BTreeMap::new();
        for event in events {
            match by_id.get(&event.id) {
                Some(there) if *there == event => {}
                Some(_) => return Err(BillingError::Conflict { what: "change", id: event.id }),
                None => drop(by_id.insert(event.id.clone(), event)),
            }
        }
        let mut events: Vec<_> = by_id.into_values().collect();
        events.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        let made = Self { anchor, events };
        made.timeline()?;
        Ok(made)
    }

    /// The same and one change more. To be asked before a change is written down: what this refuses must not be.
    pub fn with(&self, event: SubscriptionEvent) -> Result<Self, BillingError> {
        Self::new(self.anchor, self.events.iter().cloned().chain([event]))
    }

    /// Where the months begin.
    pub fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// The changes, in the order of their time.
    pub fn events(&self) -> &[SubscriptionEvent] {
        &self.events
    }

    /// What holds at an instant; none: nothing is subscribed to.
    pub fn state(&self, at: Moment) -> Result<Option<State>, BillingError> {
        let timeline = self.timeline()?;
        Ok(timeline.into_iter().rev().find(|(from, _)| *from <= at).and_then(|(_, state)| state))
    }

    /// A period cut into stretches in which nothing changes; together they are all of it.
    pub fn stretches(&self, period: &Period) -> Result<Vec<Stretch>, BillingError> {
        timeline::stretches(&self.timeline()?, period)
    }

    /// The coupons that were redeemed before an instant, each with when it first was.
    pub(crate) fn coupons(&self, before: Moment) -> BTreeMap<&str, Moment> {
        let mut coupons = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.at < before) {
            if let Change::Coupon { code } = &event.change {
                coupons.entry(code.as_str()).or_insert(event.at);
            }
        }
        coupons
    }

    /// The last plan that held before an instant, though it may have ended.
    pub fn last_plan(&self, before: Moment) -> Result<Option<String>, BillingError> {
        let mut states = self.timeline()?.into_iter().filter(|(from, _)| *from < before).filter_map(|(_, state)| state);
        Ok(states.next_back().map(|state| state.plan))
    }

    fn timeline(&self) -> Result<timeline::Timeline, BillingError> {
        timeline::timeline(self.anchor, &self.events)
    }
}

#[cfg(test)]
mod tests;
