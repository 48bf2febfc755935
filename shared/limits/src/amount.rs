//! Amounts as the limits file writes them: `1000/1m`, `100k/1m`, `5M/month`, `64MiB/1s`, `25.00/month`.

use std::time::Duration;

use torchmesh_settings::FromSetting;

use crate::price;

/// The longest time: with the largest amount in it, what is reckoned with still fits into its numbers.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// So much in such a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// How much.
    pub amount: u64,
    /// In what time; none is a month of the calendar.
    pub period: Option<Duration>,
    /// As it was written.
    pub said: String,
}

/// How an amount is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// By ones: `k` is a thousand, `M` a million, `G` a thousand million.
    Count,
    /// By bytes: `KiB`, `MiB`, `GiB`.
    Bytes,
    /// By money.
    Money,
}

impl Unit {
    /// What is right, as the end of a sentence.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Count => "must be an amount and a time of at most a year such as \"1000/1m\", \"100k/1h\" or \"5M/month\"",
            Self::Bytes => "must be an amount and a time of at most a year such as \"64MiB/1s\" or \"100GiB/month\"",
            Self::Money => "must be an amount of money a month such as \"25.00/month\", with at most six digits behind the point",
        }
    }
}

impl Amount {
    /// Reads one; none when it has another form, is nothing, or counts for no time at all or for more than a year.
    pub fn read(text: &str, unit: Unit) -> Option<Self> {
        let (amount, period) = text.split_once('/')?;
        let amount = count(amount.trim(), unit).filter(|amount| *amount > 0)?;
        let period = match period.trim() {
            "month" => None,
            _ if unit == Unit::Money => return None,
            period => {
                let period = Duration::from_setting(&period.to_owned().into()).ok();
                Some(period.filter(|period| (Duration::from_millis(1)..=LONGEST).contains(period))?)
            }
        };
        Some(Self { amount, period, said: text.replace(' ', "") })
    }
}

/// Reads how many of a unit there are.
pub fn count(text: &str, unit: Unit) -> Option<u64> {
    let units: &[(&str, u64)] = match unit {
        Unit::Money => return price::micros(text),
        Unit::Count => &[("k", 1000), ("M", 1_000_000), ("G", 1_000_000_000), ("", 1)],
        Unit::Bytes => &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)],
    };
    let (digits, factor) = units.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let digits = digits.trim();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than this cannot be told apart by every part of the way, the fleet's server among them.
    digits.parse::<u64>().ok()?.checked_mul(*factor).filter(|count| *count <= 1 << 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units() {
        let read = |text, unit| Amount::read(text, unit).map(|read| (read.amount, read.period));
        assert_eq!(read("1000/1m", Unit::Count), Some((1000, Some(Duration::from_secs(60)))));
        assert_eq!(read("100k / 1h", Unit::Count), Some((100_000, Some(Duration::from_secs(3600)))));
        assert_eq!(read("5M/month", Unit::Count), Some((5_000_000, None)));
        assert_eq!(read("64MiB/1s", Unit::Bytes), Some((64 << 20, Some(Duration::from_secs(1)))));
        assert_eq!(read("25.5/month", Unit::Money), Some((25_500_000, None)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, unit) in [
            ("", Unit::Count),
            ("1000", Unit::Count),
            ("0/1m", Unit::Count),
            ("-1/1m", Unit::Count),
            ("1.5k/1m", Unit::Count),
            ("1000/0s", Unit::Count),
            ("1000/day", Unit::Count),
            ("1/8785h", Unit::Count),
            ("1/18446744073709551615s", Unit::Count),
            ("1k/1s", Unit::Bytes),
            ("25/1m", Unit::Money),
            ("99999999999G/1s", Unit::Count),
        ] {
            assert_eq!(Amount::read(text, unit), None, "{text:?}");
        }
    }
}
