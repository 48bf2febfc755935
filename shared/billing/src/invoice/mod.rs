//! Invoices: what a tenant owes for a period, as a function of what is written down and of nothing else.

mod build;
mod fees;
mod reduce;
mod usage;

use serde::{Deserialize, Serialize};

pub(crate) use build::invoice_in_place_of;
pub use build::{Bill, Tax, Tenant, boundaries, invoice};

use crate::{
    currency::Currency,
    error::BillingError,
    ledger::{Account, Entry, What},
    moment::Moment,
    money::Money,
    period::Period,
    price::{TierRange, UnitPrice},
    share::Share,
    unit::Unit,
};

/// What a line is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Item {
    /// The plan's fee for a part of the period.
    Fee {
        /// Which part.
        time: Period,
        /// How many seconds that is,
        seconds: u64,
        /// of how many.
        of: u64,
    },
    /// The plan's seats for a part of the period.
    Seats {
        /// Which part.
        time: Period,
        /// How many seconds that is,
        seconds: u64,
        /// of how many.
        of: u64,
    },
    /// A part of the period in which the fee is not charged.
    Trial {
        /// Which part.
        time: Period,
    },
    /// Use that the plan includes.
    Included {
        /// Which model.
        model: String,
        /// Of which unit.
        unit: Unit,
    },
    /// Use beyond what is free of a model that has free units, of a plan that stops.
    NotCharged {
        /// Which model.
        model: String,
        /// Of which unit.
        unit: Unit,
    },
    /// Use at a price.
    Usage {
        /// Which model.
        model: String,
        /// Of which unit.
        unit: Unit,
        /// The version of the price.
        price: String,
        /// Its correction, if there was one.
        correction: Option<String>,
        /// The tier, of a price that has tiers.
        tier: Option<TierRange>,
        /// Whether it was by lines of batches, at the price's share for them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        batch: bool,
    },
    /// What is missing to the plan's minimum.
    Minimum,
}

/// What a partner gets of a line: the amount before discounts, which are the platform's, without the platform's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerCut {
    /// Which partner.
    pub partner: String,
    /// What the platform keeps.
    pub platform: Money,
    /// What the partner gets; both together are the line's amount.
    pub payable: Money,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// From 1 on.
    pub number: u32,
    /// Of which plan.
    pub plan: String,
    /// What for.
    pub item: Item,
    /// How many.
    pub quantity: u64,
    /// At which price; none: nothing is charged.
    pub unit_price: Option<UnitPrice>,
    /// What it comes to.
    pub amount: Money,
    /// Its part of the discounts.
    pub discount: Money,
    /// Both together: what is taxed.
    pub net: Money,
    /// The tax on it.
    pub tax: Money,
    /// What a partner gets of it.
    pub partner: Option<PartnerCut>,
}

/// What a coupon took off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// Which coupon.
    pub coupon: String,
    /// How much.
    pub amount: Money,
}

/// What a credit paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditUsed {
    /// Which credit.
    pub grant: String,
    /// How much.
    pub amount: Money,
}

/// An invoice. Every amount is a whole number of minor units, and every sum is that of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its number.
    pub number: String,
    /// Whose it is.
    pub tenant: String,
    /// In which currency.
    pub currency: Currency,
    /// Which period it is for.
    pub period: Period,
    /// When it was issued: what was written down from then on is not in it.
    pub issued: Moment,
    /// The invoice that it takes the place of.
    pub replaces: Option<String>,
    /// What it is made of.
    pub lines: Vec<Line>,
    /// The lines' amounts.
    pub subtotal: Money,
    /// What coupons took off, in the order in which they did.
    pub discounts: Vec<Discount>,
    /// The lines' nets.
    pub net: Money,
    /// Which tax, if any.
    pub tax_name: Option<String>,
    /// How much of the net.
    pub tax_rate: Share,
    /// The lines' taxes.
    pub tax: Money,
    /// Net and tax.
    pub total: Money,
    /// What credits paid of it, in the order in which they did.
    pub credits: Vec<CreditUsed>,
    /// What is left to be paid.
    pub due: Money,
}

impl Invoice {
    /// Its canonical form: the same invoice is always the same bytes.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The id of its entry in the ledger.
    pub fn entry_id(&self) -> String {
        entry_id(&self.number)
    }

    /// Its entry in the ledger; none, where it moves nothing.
    pub fn entry(&self) -> Result<Option<Entry>, BillingError> {
        let mut postings = vec![(Account::Receivable(self.tenant.clone()), self.due), (Account::Tax, self.tax.negated())];
        for used in &self.credits {
            let (tenant, grant) = (self.tenant.clone(), used.grant.clone());
            postings.push((Account::Credits { tenant, grant }, used.amount));
        }
        let mut revenue = self.net;
        for cut in self.lines.iter().filter_map(|line| line.partner.as_ref()) {
            revenue = revenue.minus(cut.payable)?.minus(cut.platform)?;
            postings.push((Account::PartnerPayable(cut.partner.clone()), cut.payable.negated()));
            postings.push((Account::PlatformShare, cut.platform.negated()));
        }
        postings.push((Account::Revenue, revenue.negated()));
        match Entry::new(self.entry_id(), self.issued, What::Invoice(self.number.clone()), postings) {
            Err(BillingError::EmptyEntry(_)) => Ok(None),
            made => made.map(Some),
        }
    }
}

fn entry_id(number: &str) -> String {
    format!("invoice/{number}")
}
