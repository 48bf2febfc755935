//! What a unit costs: flat, or by tiers.

mod book;

use serde::{Deserialize, Serialize};

pub use book::{Correction, InForce, PriceBook, PriceVersion};

use crate::{
    error::BillingError,
    money::Money,
    share::{Share, common_divisor},
};

/// A price for so many units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitPrice {
    /// What they cost.
    pub price: Money,
    /// How many.
    pub per: u64,
}

impl UnitPrice {
    /// What a quantity costs, rounded to whole minor units.
    pub fn of(self, quantity: u64) -> Result<Money, BillingError> {
        self.price.priced(quantity, self.per)
    }
}

/// A tier: a price up to a quantity, that one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// The last unit of the tier; none: it has no end.
    pub up_to: Option<u64>,
    /// The price of `per` units.
    pub price: Money,
}

/// How a quantity becomes an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Every unit costs the same.
    Flat(Money),
    /// Each tier's units cost that tier's price.
    Graduated(Vec<Tier>),
    /// All units cost the price of the tier that the period's quantity has reached.
    Volume(Vec<Tier>),
}

/// The price of one unit of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Rate {
    per: u64,
    scheme: Scheme,
}

#[derive(Clone, Serialize, Deserialize)]
struct Unchecked {
    per: u64,
    scheme: Scheme,
}

impl TryFrom<Unchecked> for Rate {
    type Error = BillingError;

    fn try_from(read: Unchecked) -> Result<Self, BillingError> {
        Self::new(read.per, read.scheme)
    }
}

impl From<Rate> for Unchecked {
    fn from(rate: Rate) -> Self {
        Self { per: rate.per, scheme: rate.scheme }
    }
}

/// A part of a quantity that has one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// How many units.
    pub quantity: u64,
    /// What they cost.
    pub price: UnitPrice,
    /// Which tier; none of a flat price.
    pub tier: Option<TierRange>,
}

/// The units of a tier: those above one number, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TierRange {
    /// The last unit of the tier before.
    pub above: u64,
    /// The last unit of this one; none: it has no end.
    pub up_to: Option<u64>,
}

impl Rate {
    /// A price for `per` units.
    ///
    /// Error: `per` is 0, a price is less than nothing, tiers do not rise or the last has an end, or there are two currencies.
    pub fn new(per: u64, scheme: Scheme) -> Result<Self, BillingError> {
        if per == 0 {
            return Err(BillingError::BadPrice("per must be at least 1: for how many units the price is"));
        }
        let rate = Self { per, scheme };
        let tiers = rate.tiers();
        let Some((last, rest)) = tiers.split_last() else { return Err(BillingError::BadPrice("tiers must have at least one tier")) };
        if last.up_to.is_some() || rest.iter().any(|tier| tier.up_to.is_none()) {
            return Err(BillingError::BadPrice("every tier but the last needs up_to, and the last must have none"));
        }
        let mut above = 0;
        for tier in rest {
            if tier.up_to.is_none_or(|up_to| up_to <= above) {
                return Err(BillingError::BadPrice("up_to must rise from tier to tier, from 1 on"));
            }
            above = tier.up_to.unwrap_or(above);
        }
        for tier in &tiers {
            tier.price.plus(last.price)?;
            if tier.price.is_negative() {
                return Err(BillingError::BadPrice("a price must not be less than 0"));
            }
        }
        Ok(rate)
    }

    /// A price of so much for `per` units, without tiers.
    pub fn flat(price: Money, per: u64) -> Result<Self, BillingError> {
        Self::new(per, Scheme::Flat(price))
    }

    /// A share of it, exactly, with the same tiers. Where that would need a part of the smallest amount, it is the price of as many times more units as it takes.
    ///
    /// Error: an amount, or the number of units that it is for, is too large.
    pub fn shared(&self, share: Share) -> Result<Self, BillingError> {
        let (part, whole) = share.fraction();
        let common = self.tiers().iter().fold(whole, |common, tier| common_divisor(common, tier.price.pico()));
        let times = whole / common;
        let price = |price: Money| Money::from_pico(price.currency(), price.pico() * times / whole * part);
        let tiers = |tiers: &[Tier]| tiers.iter().map(|tier| Ok(Tier { price: price(tier.price)?, ..*tier })).collect::<Result<_, _>>();
        let scheme = match &self.scheme {
            Scheme::Flat(flat) => Scheme::Flat(price(*flat)?),
            Scheme::Graduated(of) => Scheme::Graduated(tiers(of)?),
            Scheme::Volume(of) => Scheme::Volume(tiers(of)?),
        };
        let per = i128::from(self.per) * times;
        Self::new(u64::try_from(per).map_err(|_| BillingError::TooLarge)?, scheme)
    }

    /// For how many units the price is.
    pub fn per(&self) -> u64 {
        self.per
    }

    /// How a quantity becomes an amount.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The price of the first unit: how dear this is, where two are compared.
    pub fn first(&self) -> UnitPrice {
        let price = match &self.scheme {
            Scheme::Flat(price) => *price,
            Scheme::Graduated(tiers) | Scheme::Volume(tiers) => tiers[0].price,
        };
        UnitPrice { price, per: self.per }
    }

    /// Cuts a quantity into the parts that have one price each.
    ///
    /// `before` units of the period were rated already, under prices that were in force earlier; `total` are all of the period. The parts depend on these sums
    /// alone, and so never on how use was gathered.
    pub fn pieces(&self, before: u64, quantity: u64, total: u64) -> Vec<Piece> {
        let piece = |quantity, price, tier| Piece { quantity, price: UnitPrice { price, per: self.per }, tier };
        match &self.scheme {
            Scheme::Flat(price) => vec![piece(quantity, *price, None)],
            Scheme::Volume(tiers) => {
                let reached = ranges(tiers).find(|(range, _)| range.up_to.is_none_or(|up_to| total <= up_to));
                reached.map(|(range, price)| piece(quantity, price, Some(range))).into_iter().collect()
            }
            Scheme::Graduated(tiers) => {
                let end = before.saturating_add(quantity);
                let within = |(range, price): (TierRange, Money)| {
                    let (from, to) = (before.max(range.above), end.min(range.up_to.unwrap_or(u64::MAX)));
                    (from < to).then(|| piece(to - from, price, Some(range)))
                };
                ranges(tiers).filter_map(within).collect()
            }
        }
    }

    fn tiers(&self) -> Vec<Tier> {
        match &self.scheme {
            Scheme::Flat(price) => vec![Tier { up_to: None, price: *price }],
            Scheme::Graduated(tiers) | Scheme::Volume(tiers) => tiers.clone(),
        }
    }
}

fn ranges(tiers: &[Tier]) -> impl Iterator<Item = (TierRange, Money)> + '_ {
    let above = std::iter::once(0).chain(tiers.iter().filter_map(|tier| tier.up_to));
    tiers.iter().zip(above).map(|(tier, above)| (TierRange { above, up_to: tier.up_to }, tier.price))
}

#[cfg(test)]
mod tests;
