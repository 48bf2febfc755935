//! Billing periods: months, of the calendar or from the day of sign-up.

use serde::{Deserialize, Serialize};

use crate::{error::BillingError, moment::Moment};

/// Where a tenant's months begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// With the month of the calendar, in UTC.
    #[default]
    Calendar,
    /// At this instant, and at the same time of the same day of every month; in a month that lacks the day, on its last one.
    From(Moment),
}

/// A time from an instant to another, which is the first that is not in it. As a billing period: one month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The first instant.
    pub start: Moment,
    /// The first one after.
    pub end: Moment,
}

impl Period {
    /// Whether an instant is in it.
    pub fn contains(&self, at: Moment) -> bool {
        self.start <= at && at < self.end
    }

    /// Whole seconds from its beginning to its end.
    pub fn seconds(&self) -> u64 {
        self.end.seconds().saturating_sub(self.start.seconds())
    }

    /// What both have in common.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }
}

impl Anchor {
    /// The period that an instant lies in.
    pub fn period(self, at: Moment) -> Result<Period, BillingError> {
        let number = self.number(at)?;
        Ok(Period { start: self.start(number)?, end: self.start(number + 1)? })
    }

    /// The period after one.
    pub fn next(self, period: &Period) -> Result<Period, BillingError> {
        self.period(period.end)
    }

    /// The number of the period that an instant lies in; each is one more than the one before.
    pub fn number(self, at: Moment) -> Result<i64, BillingError> {
        let Self::From(first) = self else { return Ok(at.month_count()) };
        let number = at.month_count() - first.month_count();
        Ok(if self.start(number).is_ok_and(|start| start <= at) { number } else { number - 1 })
    }

    fn start(self, number: i64) -> Result<Moment, BillingError> {
        match self {
            Self::Calendar => Moment::FIRST.months(number - Moment::FIRST.month_count()).map(Moment::month_start),
            Self::From(first) => first.months(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_of_the_calendar_ends_where_the_next_begins() {
        let period = Anchor::Calendar.period(at("2024-02-29T23:59:59.999Z")).unwrap();
        assert_eq!(period, Period { start: at("2024-02-01"), end: at("2024-03-01") });
        assert_eq!(period.seconds(), 29 * 86_400);
        assert_eq!(Anchor::Calendar.next(&period).unwrap().end, at("2024-04-01"));
    }

    #[test]
    fn who_signed_up_on_the_31st_pays_on_the_last_day_of_shorter_months() {
        let anchor = Anchor::From(at("2026-01-31T10:00:00Z"));
        let starts: Vec<_> = (0..5).map(|number| anchor.start(number).unwrap().to_string()).collect();
        assert_eq!(
            starts,
            ["2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z", "2026-05-31T10:00:00Z"]
        );
        assert_eq!(anchor.period(at("2026-02-28T09:59:59Z")).unwrap().start, at("2026-01-31T10:00:00Z"));
        assert_eq!(anchor.number(at("2026-02-28T10:00:00Z")), Ok(1));
    }

    #[test]
    fn the_end_of_time_is_an_error_and_no_panic() {
        assert!(Anchor::Calendar.period(Moment::LAST).is_err());
        assert!(Anchor::From(Moment::LAST).period(Moment::LAST).is_err());
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_period_and_periods_leave_no_gap(first in 0_u64..5_000_000_000_000, ms in 0_u64..9_000_000_000_000) {
            let (first, at) = (Moment::from_unix_ms(first).unwrap(), Moment::from_unix_ms(ms + 5_000_000_000_000).unwrap());
            for anchor in [Anchor::Calendar, Anchor::From(first)] {
                let period = anchor.period(at).unwrap();
                prop_assert!(period.contains(at));
                prop_assert!((27 * 86_400..=31 * 86_400).contains(&period.seconds()));
                let next = anchor.next(&period).unwrap();
                prop_assert_eq!(next.start, period.end);
                prop_assert_eq!(anchor.number(next.start).unwrap(), anchor.number(at).unwrap() + 1);
            }
        }
    }
}
