//! Adds events up.

use std::collections::BTreeMap;

use super::Event;

/// Codes of calls that did not fail.
const OK: i64 = 0;
const CANCELLED: i64 = 1;

/// The version of what lines of batches used, in the sums of what is paid for.
pub(crate) const BATCHED: &str = "batch";

/// How long a sum goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
    /// An hour, and of those events alone that are paid for: by model, and lines of batches apart.
    PaidHour,
}

impl Period {
    /// Its length in milliseconds.
    pub fn ms(self) -> i64 {
        match self {
            Self::Hour | Self::PaidHour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// The table of its sums.
    pub fn table(self) -> &'static str {
        match self {
            Self::Hour => "usage_hourly",
            Self::Day => "usage_daily",
            Self::PaidHour => "usage_payable",
        }
    }
}

/// What tells sums from each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they say what they are")]
pub struct Key {
    pub tenant: String,
    pub begin_ms: i64,
    pub credential: String,
    pub model: String,
    pub version: String,
}

/// A sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Calls.
    pub calls: i64,
    /// Of those, how many failed; a caller who left is no failure.
    pub failed: i64,
    /// As an [`Event`] has them.
    pub units: [i64; 8],
    /// When the last one ended.
    pub last_ms: i64,
}

/// The sums of events.
pub fn add_up<'a>(period: Period, events: impl Iterator<Item = &'a Event>) -> BTreeMap<Key, Sums> {
    let mut sums = BTreeMap::<Key, Sums>::new();
    let paid = period == Period::PaidHour;
    for event in events.filter(|event| !paid || event.is_paid_for()) {
        let (credential, version) = match (paid, event.is_batched()) {
            (false, _) => (&*event.credential, &*event.version),
            (true, false) => ("", ""),
            (true, true) => ("", BATCHED),
        };
        let key = Key {
            tenant: event.tenant.clone(),
            begin_ms: event.time_ms - event.time_ms.rem_euclid(period.ms()),
            credential: credential.to_owned(),
            model: event.model.clone(),
            version: version.to_owned(),
        };
        let sum = sums.entry(key).or_default();
        sum.calls += 1;
        sum.failed += i64::from(!matches!(event.code, OK | CANCELLED));
        let units = if paid { event.units_to_pay() } else { event.units };
        for (total, unit) in sum.units.iter_mut().zip(units) {
            *total = total.saturating_add(unit);
        }
        sum.last_ms = sum.last_ms.max(event.time_ms);
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::usage::v1::{Units, UsageEvent};

    use super::*;
    use crate::usage::BATCH;

    fn event(tenant: u8, time_unix_ms: u64, code: u32, items: u64) -> Event {
        let units = Units { items, ..Default::default() };
        let told = UsageEvent { id: vec![0; 16], time_unix_ms, tenant: tenant.to_string(), code, units: Some(units), ..Default::default() };
        Event::read(&told).unwrap()
    }

    #[test]
    fn what_is_paid_for_is_summed_apart_where_it_was_a_batch_and_by_nothing_else_that_has_no_price() {
        let of = |door, version: &str| Event { door, version: version.into(), model: "m".into(), ..event(0, 5, 0, 1) };
        let events = [of(2, "1"), of(BATCH, "1"), of(1, "2"), of(BATCH, "2")];
        let versions = |period| add_up(period, events.iter()).into_iter().map(|(key, sum)| (key.version, sum.calls)).collect::<Vec<_>>();
        assert_eq!(versions(Period::PaidHour), [(String::new(), 2), (BATCHED.to_owned(), 2)]);
        assert_eq!(versions(Period::Hour), [("1".to_owned(), 2), ("2".to_owned(), 2)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_counted_twice(told in proptest::collection::vec((0_u8..3, 0_u64..400_000_000, 0_u32..3, 0_u64..100), 0..60)) {
            let events: Vec<Event> = told.iter().map(|&(tenant, time, code, items)| event(tenant, time, code, items)).collect();
            for period in [Period::Hour, Period::Day] {
                let sums = add_up(period, events.iter());
                prop_assert_eq!(sums.values().map(|sum| sum.calls).sum::<i64>(), i64::try_from(events.len()).unwrap());
                prop_assert_eq!(sums.values().map(|sum| sum.units[3]).sum::<i64>(), told.iter().map(|told| told.3.cast_signed()).sum::<i64>());
                prop_assert_eq!(sums.values().map(|sum| sum.failed).sum::<i64>(), i64::try_from(told.iter().filter(|told| told.2 > 1).count()).unwrap());
                for (key, sum) in &sums {
                    prop_assert!(key.begin_ms % period.ms() == 0 && (key.begin_ms..key.begin_ms + period.ms()).contains(&sum.last_ms));
                }
            }
        }
    }
}
