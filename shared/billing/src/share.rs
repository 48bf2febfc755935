//! Shares of a whole, to the millionth.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    currency::shown,
    error::BillingError,
    money::{Money, round_div},
};

const WHOLE: u32 = 1_000_000;

/// A share from 0 to 1, in millionths. Its text is a percentage: `20%`, `19.25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(u32);

impl Share {
    /// So many millionths; none above the whole.
    pub fn from_millionths(millionths: u32) -> Option<Self> {
        (millionths <= WHOLE).then_some(Self(millionths))
    }

    /// So many hundredths; none above the whole.
    pub fn percent(percent: u32) -> Option<Self> {
        Self::from_millionths(percent.checked_mul(10_000)?)
    }

    /// So many of so many parts, in the fewest parts: 1 of 2 of `50%`.
    pub(crate) fn fraction(self) -> (i128, i128) {
        let (part, whole) = (i128::from(self.0), i128::from(WHOLE));
        let common = common_divisor(part, whole);
        (part / common, whole / common)
    }

    /// This share of an amount, rounded to whole minor units, half to even.
    pub fn of(self, amount: Money) -> Result<Money, BillingError> {
        let minor = amount.minor()?;
        let exact = minor.checked_mul(i128::from(self.0)).ok_or(BillingError::TooLarge)?;
        Money::from_minor(amount.currency(), round_div(exact, i128::from(WHOLE)).ok_or(BillingError::NoWeights)?)
    }
}

/// The greatest number that divides both, neither of which is less than 0.
pub(crate) fn common_divisor(mut one: i128, mut other: i128) -> i128 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

impl FromStr for Share {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        let bad = || BillingError::NotShare(shown(text));
        let digits = text.trim().strip_suffix('%').ok_or_else(bad)?;
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole, 3) || !plain(part, 4) {
            return Err(bad());
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| bad());
        Self::from_millionths(number(whole)? * 10_000 + number(&format!("{part:0<4}"))?).ok_or_else(bad)
    }
}

impl TryFrom<String> for Share {
    type Error = BillingError;

    fn try_from(text: String) -> Result<Self, BillingError> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:04}", self.0 % 10_000);
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{}{point}{part}%", self.0 / 10_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_of_an_amount_is_rounded_half_to_even() {
        let share = |share: &str, amount: &str| share.parse::<Share>().unwrap().of(amount.parse().unwrap()).unwrap().to_string();
        assert_eq!(share("19%", "10.50 EUR"), "2.00 EUR"); // 1.995
        assert_eq!(share("50%", "0.05 EUR"), "0.02 EUR"); // 0.025
        assert_eq!(share("7.7%", "100.00 CHF"), "7.70 CHF");
        assert_eq!(share("100%", "-3 JPY"), "-3 JPY");
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for bad in ["", "%", "20", "101%", "-1%", "1.23456%", "1.%", ".5%", "1e1%", "100.0001%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_share_is_read_as_it_is_printed(millionths in 0..=WHOLE) {
            let share = Share::from_millionths(millionths).unwrap();
            prop_assert_eq!(share.to_string().parse::<Share>().unwrap(), share);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}", digits in "[0-9.%-]{0,12}") {
            let _ = (text.parse::<Share>(), digits.parse::<Share>());
        }
    }
}
