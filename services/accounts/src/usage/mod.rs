//! What was used: every event once, and its sums.

mod event;
mod insert;
pub(crate) mod measured;
mod old;
mod postgres;
mod query;
mod strip;
mod sums;

use std::collections::{BTreeMap, HashSet};

use torchmesh_api::usage::v1::UsageEvent;

pub(crate) use event::BATCH;
pub use event::Event;
pub(crate) use old::{next_tenant, remove_old, removed_before};
pub use query::{By, Question, Sum, sum};
pub(crate) use strip::strip;
pub(crate) use sums::BATCHED;
pub use sums::{Key, Period, Sums, add_up};

use crate::{error::Result, store::Store};

/// Takes events in, those that are there already left out; gives how many were new. All of them are kept then, or none.
pub async fn record(store: &Store, events: &[UsageEvent]) -> Result<u64> {
    // In the order of their ids, each once: two that bring the same ones wait for each other in the same order, and neither for ever.
    let read = events.iter().map(Event::read).collect::<Result<Vec<_>>>()?;
    let by_id: BTreeMap<String, Event> = read.into_iter().map(|event| (event.id.clone(), event)).collect();
    let events: Vec<Event> = by_id.into_values().collect();
    if events.is_empty() {
        return Ok(0);
    }
    match store.postgres() {
        Some(pool) => postgres::record(pool, &events).await,
        None => insert::record(store, &events).await,
    }
}

/// What is kept of those events that were new, beside themselves.
struct Added {
    sums: [(Period, BTreeMap<Key, Sums>); 3],
    measured: BTreeMap<measured::Place, i64>,
}

impl Added {
    fn of(events: &[Event], new: &[String]) -> Self {
        let new: HashSet<&str> = new.iter().map(String::as_str).collect();
        let added = || events.iter().filter(|event| new.contains(event.id.as_str()));
        let sums = [Period::Hour, Period::Day, Period::PaidHour].map(|period| (period, add_up(period, added())));
        Self { sums, measured: measured::count(added()) }
    }
}
