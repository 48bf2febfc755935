//! From changes to what held when.

use serde::{Deserialize, Serialize};

use super::{Change, SubscriptionEvent, When};
use crate::{
    error::BillingError,
    moment::Moment,
    period::{Anchor, Period},
};

/// What a tenant is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The plan's id.
    pub plan: String,
    /// How many seats were asked for.
    pub seats: u32,
    /// Until when the trial lasts.
    pub trial_until: Option<Moment>,
}

/// A time in which nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// When.
    pub time: Period,
    /// What held; none: nothing.
    pub state: Option<State>,
    /// Whether it is a trial.
    pub trial: bool,
}

impl Stretch {
    /// Its plan, where there is one.
    pub fn plan(&self) -> Option<&str> {
        self.state.as_ref().map(|state| state.plan.as_str())
    }
}

/// From when what holds, in the order of time.
pub(super) type Timeline = Vec<(Moment, Option<State>)>;

pub(super) fn timeline(anchor: Anchor, events: &[SubscriptionEvent]) -> Result<Timeline, BillingError> {
    let mut timeline: Timeline = Vec::new();
    // What waits for the end of the period. The last word counts: whoever asks for a plan or a cancellation takes back what was asked for before.
    let mut pending: Option<(Moment, &SubscriptionEvent)> = None;
    for event in events {
        if let Some((at, due)) = pending.filter(|(at, _)| *at <= event.at) {
            put(&mut timeline, at, due)?;
            pending = None;
        }
        match &event.change {
            Change::Coupon { .. } => continue,
            Change::Plan { when: When::PeriodEnd, .. } | Change::Cancel { when: When::PeriodEnd } => {
                applied(held(&timeline), event)?;
                pending = Some((anchor.period(event.at)?.end, event));
                continue;
            }
            Change::Seats { .. } => {}
            _ => pending = None,
        }
        put(&mut timeline, event.at, event)?;
    }
    if let Some((at, due)) = pending {
        put(&mut timeline, at, due)?;
    }
    Ok(timeline)
}

fn held(timeline: &[(Moment, Option<State>)]) -> Option<State> {
    timeline.last().and_then(|(_, state)| state.clone())
}

fn put(timeline: &mut Timeline, at: Moment, event: &SubscriptionEvent) -> Result<(), BillingError> {
    let state = applied(held(timeline), event)?;
    timeline.push((at, state));
    Ok(())
}

/// What holds after an event.
fn applied(held: Option<State>, event: &SubscriptionEvent) -> Result<Option<State>, BillingError> {
    let bad = |why| BillingError::BadChange { id: event.id.clone(), why };
    if let Change::Start { plan, seats, trial_until } = &event.change {
        let state = State { plan: plan.clone(), seats: *seats, trial_until: *trial_until };
        return if held.is_none() {
            Ok(Some(state))
        } else {
            Err(bad("a subscription is there already; change its plan, or cancel it first"))
        };
    }
    let held = held.ok_or_else(|| bad("nothing is subscribed to; start first"))?;
    Ok(match &event.change {
        Change::Plan { plan, .. } => Some(State { plan: plan.clone(), ..held }),
        Change::Seats { seats } => Some(State { seats: *seats, ..held }),
        Change::Cancel { .. } => None,
        Change::Keep | Change::Coupon { .. } | Change::Start { .. } => Some(held),
    })
}

pub(super) fn stretches(timeline: &[(Moment, Option<State>)], period: &Period) -> Result<Vec<Stretch>, BillingError> {
    if period.seconds() == 0 {
        return Err(BillingError::EmptyPeriod);
    }
    let ends = timeline.iter().skip(1).map(|(from, _)| *from).chain([Moment::LAST]);
    let first = timeline.first().map_or(Moment::LAST, |(from, _)| *from);
    let whole = [(Period { start: Moment::FIRST, end: first }, &None)].into_iter();
    let held = timeline.iter().zip(ends).map(|((start, state), end)| (Period { start: *start, end }, state));
    let mut made: Vec<Stretch> = Vec::new();
    for (time, state) in whole.chain(held) {
        let trial_ends =
            state.as_ref().and_then(|state| state.trial_until).unwrap_or(time.start).clamp(time.start, time.end.max(time.start));
        for (time, trial) in [(Period { end: trial_ends, ..time }, true), (Period { start: trial_ends, ..time }, false)] {
            let Some(time) = time.meet(period) else { continue };
            match made.last_mut() {
                Some(last) if last.trial == trial && last.state == *state => last.time.end = time.end,
                _ => made.push(Stretch { time, state: state.clone(), trial }),
            }
        }
    }
    Ok(made)
}
