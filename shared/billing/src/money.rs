//! Amounts of money, exact to the million-millionth of the currency's unit.
//!
//! A price is a number of these for so many units, so that nothing is lost before an invoice's line is made: there, once, the line is rounded to the currency's
//! smallest unit, half to even ([`round_div`]). Where a sum is split, the parts add up to it ([`Money::split`]).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    currency::{Currency, shown},
    error::BillingError,
};

const PICO_DIGITS: u32 = 12;
const PICO: i128 = 10_i128.pow(PICO_DIGITS);
/// The largest amount: 10^15 units. A product of two such in minor units still fits an `i128`.
const MOST: i128 = PICO * 10_i128.pow(15);

/// An amount: a currency, and a number of its 10^-12 parts.
///
/// Its text is `0.15 EUR`: at least the digits of the minor unit, more where there are more, a minus in front of what is owed the other way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money {
    currency: Currency,
    pico: i128,
}

impl Money {
    /// Nothing.
    pub const fn zero(currency: Currency) -> Self {
        Self { currency, pico: 0 }
    }

    /// So many 10^-12 parts of the currency's unit.
    pub fn from_pico(currency: Currency, pico: i128) -> Result<Self, BillingError> {
        if (-MOST..=MOST).contains(&pico) { Ok(Self { currency, pico }) } else { Err(BillingError::TooLarge) }
    }

    /// So many of the currency's smallest units (cents).
    pub fn from_minor(currency: Currency, minor: i128) -> Result<Self, BillingError> {
        Self::from_pico(currency, minor.checked_mul(pico_per_minor(currency)).ok_or(BillingError::TooLarge)?)
    }

    /// Reads an amount without a currency, such as `0.15`, in one that is known.
    pub fn parse_in(text: &str, currency: Currency) -> Result<Self, BillingError> {
        let bad = || BillingError::NotMoney(shown(text));
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(part) || part.len() > PICO_DIGITS as usize || whole.len() > 16 {
            return Err(bad());
        }
        let number = |text: &str| text.parse::<i128>().map_err(|_| bad());
        let pico = number(whole)? * PICO + number(&format!("{part:0<12}"))?;
        Self::from_pico(currency, if negative { -pico } else { pico })
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The number of 10^-12 parts.
    pub fn pico(self) -> i128 {
        self.pico
    }

    /// The number of the currency's smallest units, where it is a whole one.
    pub fn minor(self) -> Result<i128, BillingError> {
        let unit = pico_per_minor(self.currency);
        if self.pico % unit == 0 { Ok(self.pico / unit) } else { Err(BillingError::NotWhole(self.to_string())) }
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.pico == 0
    }

    /// Whether it is less than nothing.
    pub fn is_negative(self) -> bool {
        self.pico < 0
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Result<Self, BillingError> {
        Self::from_pico(self.same(other)?, self.pico + other.pico)
    }

    /// This without the other.
    pub fn minus(self, other: Self) -> Result<Self, BillingError> {
        self.plus(other.negated())
    }

    /// The same the other way.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { currency: self.currency, pico: -self.pico }
    }

    /// The smaller of two.
    pub fn least(self, other: Self) -> Result<Self, BillingError> {
        self.same(other)?;
        Ok(self.min(other))
    }

    /// So many times as much.
    pub fn times(self, count: u64) -> Result<Self, BillingError> {
        Self::from_pico(self.currency, self.pico.checked_mul(i128::from(count)).ok_or(BillingError::TooLarge)?)
    }

    /// What `quantity` units cost when this is the price of `per` of them, in whole minor units: the one place where a line is rounded.
    pub fn priced(self, quantity: u64, per: u64) -> Result<Self, BillingError> {
        let exact = self.pico.checked_mul(i128::from(quantity)).ok_or(BillingError::TooLarge)?;
        let unit = i128::from(per).checked_mul(pico_per_minor(self.currency)).ok_or(BillingError::TooLarge)?;
        Self::from_minor(self.currency, round_div(exact, unit).ok_or(BillingError::NoWeights)?)
    }

    /// Rounded to whole minor units, half to even.
    pub fn rounded(self) -> Result<Self, BillingError> {
        self.priced(1, 1)
    }

    /// All of them together.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, BillingError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// Splits a whole number of minor units by weights; the parts are whole and add up to it. What is left after every part was rounded down goes, a minor unit
    /// each, to the parts that lost the most; of equals to the first.
    pub fn split(self, weights: &[u64]) -> Result<Vec<Self>, BillingError> {
        let minor = self.minor()?;
        let parts = split_count(minor.unsigned_abs(), weights)?;
        let signed = |part: u128| i128::try_from(part).map(|part| part * minor.signum()).map_err(|_| BillingError::TooLarge);
        parts.into_iter().map(|part| Self::from_minor(self.currency, signed(part)?)).collect()
    }

    fn same(self, other: Self) -> Result<Currency, BillingError> {
        let (left, right) = (self.currency, other.currency);
        if left == right { Ok(left) } else { Err(BillingError::Currencies { left, right }) }
    }
}

/// Splits a count by weights: by largest remainders, of equals the first.
pub(crate) fn split_count(count: u128, weights: &[u64]) -> Result<Vec<u128>, BillingError> {
    let all: u128 = weights.iter().copied().map(u128::from).sum();
    if all == 0 {
        return Err(BillingError::NoWeights);
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut lost = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let exact = count.checked_mul(u128::from(*weight)).ok_or(BillingError::TooLarge)?;
        parts.push(exact / all);
        lost.push((std::cmp::Reverse(exact % all), at));
    }
    let left = count - parts.iter().sum::<u128>();
    lost.sort_unstable();
    for (_, at) in lost.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        parts[at] += 1;
    }
    Ok(parts)
}

/// Divides and rounds to the nearest whole number, of two that are as near to the even one. None where the divisor is not more than 0.
pub fn round_div(number: i128, divisor: i128) -> Option<i128> {
    if divisor <= 0 {
        return None;
    }
    let (down, over) = (number.div_euclid(divisor), number.rem_euclid(divisor));
    let up = match over.cmp(&(divisor - over)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => down % 2 != 0,
    };
    Some(down + i128::from(up))
}

fn pico_per_minor(currency: Currency) -> i128 {
    10_i128.pow(PICO_DIGITS.saturating_sub(u32::from(currency.digits())))
}

impl FromStr for Money {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        let (amount, currency) = text.trim().split_once(' ').ok_or_else(|| BillingError::NotMoney(shown(text)))?;
        Self::parse_in(amount, currency.parse()?)
    }
}

impl TryFrom<String> for Money {
    type Error = BillingError;

    fn try_from(text: String) -> Result<Self, BillingError> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

impl Money {
    /// The amount without its currency.
    pub fn number(self) -> String {
        let (whole, part) = (self.pico.unsigned_abs() / PICO.unsigned_abs(), self.pico.unsigned_abs() % PICO.unsigned_abs());
        let part = format!("{part:012}");
        let kept = part.trim_end_matches('0').len().max(usize::from(self.currency.digits()));
        let sign = if self.pico < 0 { "-" } else { "" };
        if kept == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{}", &part[..kept]) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
