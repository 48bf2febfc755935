//! Instants in UTC, to the millisecond.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time, format_description::well_known::Rfc3339};

use crate::{currency::shown, error::BillingError};

/// The last millisecond of the year 9999.
const LAST: i64 = 253_402_300_799_999;

/// An instant from 1970 to 9999. Its text is that of RFC 3339 in UTC; a date alone is its first instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment(i64);

impl Moment {
    /// The first of all.
    pub const FIRST: Self = Self(0);
    /// The last of all: what "for ever" ends at.
    pub const LAST: Self = Self(LAST);

    /// So many milliseconds after 1970 began, as usage events say it.
    pub fn from_unix_ms(ms: u64) -> Result<Self, BillingError> {
        i64::try_from(ms).ok().filter(|ms| *ms <= LAST).map(Self).ok_or_else(|| BillingError::NotMoment(ms.to_string()))
    }

    /// Milliseconds since 1970 began.
    pub fn unix_ms(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Whole seconds since 1970 began: what prorating counts by.
    pub fn seconds(self) -> u64 {
        self.unix_ms() / 1000
    }

    /// So many milliseconds later; at most the last of all.
    #[must_use]
    pub fn later(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(LAST)).min(LAST))
    }

    /// So many milliseconds earlier; at least the first of all.
    #[must_use]
    pub fn earlier(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(i64::try_from(ms).unwrap_or(LAST)).max(0))
    }

    /// The same time of the day, so many months later or earlier. A day that the month does not have is its last one.
    pub(crate) fn months(self, months: i64) -> Result<Self, BillingError> {
        let at = self.date_time();
        let count = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1 + months;
        let far = || BillingError::NotMoment(format!("{self} and {months} months"));
        let year = i32::try_from(count.div_euclid(12)).map_err(|_| far())?;
        let month = Month::try_from(u8::try_from(count.rem_euclid(12) + 1).unwrap_or(1)).map_err(|_| far())?;
        let day = at.day().min(month.length(year));
        let date = Date::from_calendar_date(year, month, day).map_err(|_| far())?;
        Self::of(date, at.time()).ok_or_else(far)
    }

    /// Months since the year 0.
    pub(crate) fn month_count(self) -> i64 {
        let at = self.date_time();
        i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1
    }

    /// The first instant of this one's month.
    pub(crate) fn month_start(self) -> Self {
        let date = self.date_time().date().replace_day(1);
        date.ok().and_then(|date| Self::of(date, Time::MIDNIGHT)).unwrap_or_default()
    }

    fn of(date: Date, time: Time) -> Option<Self> {
        let nanos = OffsetDateTime::new_utc(date, time).unix_timestamp_nanos();
        i64::try_from(nanos.div_euclid(1_000_000)).ok().filter(|ms| (0..=LAST).contains(ms)).map(Self)
    }

    fn date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The date alone, as `2026-01-31`.
    pub fn date(self) -> String {
        let at = self.date_time();
        format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
    }
}

impl FromStr for Moment {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let read = OffsetDateTime::parse(&whole, &Rfc3339).ok();
        let ms = read.map(|at| at.unix_timestamp_nanos().div_euclid(1_000_000)).and_then(|ms| i64::try_from(ms).ok());
        ms.filter(|ms| (0..=LAST).contains(ms)).map(Self).ok_or_else(|| BillingError::NotMoment(shown(text)))
    }
}

impl TryFrom<String> for Moment {
    type Error = BillingError;

    fn try_from(text: String) -> Result<Self, BillingError> {
        text.parse()
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        write!(f, "{}T{:02}:{:02}:{:02}", self.date(), at.hour(), at.minute(), at.second())?;
        if at.millisecond() > 0 { write!(f, ".{:03}Z", at.millisecond()) } else { f.write_str("Z") }
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_is_written_in_utc() {
        for (text, printed) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T23:30:00-01:00", "2026-02-01T00:30:00Z"),
            ("2024-02-29T12:00:00.125Z", "2024-02-29T12:00:00.125Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for bad in ["", "2026", "2026-02-30", "1969-12-31", "2026-01-01 00:00", "2026-01-01T24:00:00Z", "99999-01-01", "éééééé"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_read_as_it_is_printed(ms in 0..=LAST) {
            prop_assert_eq!(Moment(ms).to_string().parse::<Moment>().unwrap(), Moment(ms));
        }

        #[test]
        fn any_text_and_number_is_read_or_refused(text in "\\PC{0,30}", form in "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{0,14}Z)?", ms in any::<u64>(), months in any::<i32>()) {
            let _ = (text.parse::<Moment>(), form.parse::<Moment>());
            if let Ok(at) = Moment::from_unix_ms(ms % (LAST as u64 * 2)) {
                let _ = (at.months(months.into()), at.month_start(), at.later(ms));
            }
        }
    }
}
