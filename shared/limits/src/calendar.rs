//! Months of the calendar, in UTC: what quotas and budgets are counted by.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 86_400;

/// One month of one year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Month(u32);

impl Month {
    /// The month that an instant lies in; the first of all for one before 1970.
    pub fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (year, month) = civil(seconds / DAY);
        Self(year * 12 + month - 1)
    }

    /// How long it is until the next month begins, seen from an instant in this one.
    pub fn left(self, now: SystemTime) -> Duration {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(Self(self.0 + 1).first_day() * DAY).saturating_sub(seconds)
    }

    fn first_day(self) -> u64 {
        days(self.0 / 12, self.0 % 12 + 1)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Days since 1970 of the first day of a month, by the proleptic Gregorian calendar: years begin in March, so that the day that comes and goes is
/// the last.
fn days(year: u32, month: u32) -> u64 {
    let (year, month) = if month > 2 { (u64::from(year), month - 3) } else { (u64::from(year) - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = u64::from((153 * month + 2) / 5);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year and month of a day since 1970: the inverse.
fn civil(day: u64) -> (u32, u32) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = u32::try_from((5 * of_year + 2) / 153).unwrap_or_default();
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = u32::try_from(era * 400 + year_of_era).unwrap_or(u32::MAX / 16);
    (year + u32::from(month <= 2), month)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn known_instants_lie_in_their_months() {
        for (seconds, month) in [
            (0, "1970-01"),
            (951_782_399, "2000-02"),
            (951_868_800, "2000-03"),
            (1_709_251_199, "2024-02"),
            (1_709_251_200, "2024-03"),
            (1_798_761_599, "2026-12"),
            (1_798_761_600, "2027-01"),
        ] {
            assert_eq!(Month::of(at(seconds)).to_string(), month, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn the_next_month_begins_when_this_one_is_over(seconds in 0_u64..8_000_000_000) {
            let month = Month::of(at(seconds));
            let left = month.left(at(seconds)).as_secs();
            prop_assert!((1..=31 * DAY).contains(&left));
            prop_assert_eq!(Month::of(at(seconds + left - 1)), month);
            prop_assert_eq!(Month::of(at(seconds + left)).0, month.0 + 1);
        }
    }
}
