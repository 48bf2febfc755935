//! One entry of the ledger.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{currency::Currency, error::BillingError, moment::Moment, money::Money};

/// Where money is, or whom it is owed to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// What a tenant owes; less than nothing: what it has paid too much.
    Receivable(String),
    /// What the platform has earned.
    Revenue,
    /// What is left of a tenant's credit.
    Credits {
        /// The tenant.
        tenant: String,
        /// The credit's id.
        grant: String,
    },
    /// What is owed to a partner.
    PartnerPayable(String),
    /// What the platform kept of partners' sales.
    PlatformShare,
    /// Tax that is owed on.
    Tax,
    /// Money that came in, and that went out to partners.
    Payments,
    /// Money that went back to tenants.
    Refunds,
    /// Credit that was given away.
    Promotions,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receivable(tenant) => write!(f, "receivable/{tenant}"),
            Self::Revenue => f.write_str("revenue"),
            Self::Credits { tenant, grant } => write!(f, "credits/{tenant}/{grant}"),
            Self::PartnerPayable(partner) => write!(f, "partner-payable/{partner}"),
            Self::PlatformShare => f.write_str("platform-share"),
            Self::Tax => f.write_str("tax"),
            Self::Payments => f.write_str("payments"),
            Self::Refunds => f.write_str("refunds"),
            Self::Promotions => f.write_str("promotions"),
        }
    }
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The invoice of this number.
    Invoice(String),
    /// The credit note of this number.
    CreditNote(String),
    /// A tenant paid.
    Payment,
    /// A tenant got money back.
    Refund,
    /// Credit was bought.
    CreditBought,
    /// Credit was given.
    CreditGiven,
    /// Credit has expired.
    CreditExpired,
    /// A partner was paid.
    PartnerPaid,
    /// The entry of this id is taken back.
    Reversal(String),
}

/// An amount on an account: more than nothing is debit, less is credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// How much.
    pub amount: Money,
}

/// An entry. There is none that does not balance: neither [`Entry::new`] nor reading one makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Entry {
    id: String,
    at: Moment,
    what: What,
    postings: Vec<Posting>,
}

#[derive(Deserialize)]
struct Unchecked {
    id: String,
    at: Moment,
    what: What,
    postings: Vec<Posting>,
}

impl TryFrom<Unchecked> for Entry {
    type Error = BillingError;

    fn try_from(read: Unchecked) -> Result<Self, BillingError> {
        Self::new(read.id, read.at, read.what, read.postings.into_iter().map(|posting| (posting.account, posting.amount)))
    }
}

impl Entry {
    /// An entry. Postings of one account and currency become one, those of nothing are left out, and what is left is sorted.
    ///
    /// Error: the postings of a currency do not sum to nothing, or there are none.
    pub fn new(
        id: impl Into<String>,
        at: Moment,
        what: What,
        postings: impl IntoIterator<Item = (Account, Money)>,
    ) -> Result<Self, BillingError> {
        let id = id.into();
        let mut merged: BTreeMap<(Account, Currency), Money> = BTreeMap::new();
        let mut sums: BTreeMap<Currency, Money> = BTreeMap::new();
        for (account, amount) in postings {
            let nothing = Money::zero(amount.currency());
            let sum = sums.entry(amount.currency()).or_insert(nothing);
            *sum = sum.plus(amount)?;
            let posting = merged.entry((account, amount.currency())).or_insert(nothing);
            *posting = posting.plus(amount)?;
        }
        if let Some((currency, sum)) = sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
            return Err(BillingError::Unbalanced { id, currency, sum: sum.to_string() });
        }
        let kept = merged.into_iter().filter(|(_, amount)| !amount.is_zero());
        let postings: Vec<_> = kept.map(|((account, _), amount)| Posting { account, amount }).collect();
        if postings.is_empty() { Err(BillingError::EmptyEntry(id)) } else { Ok(Self { id, at, what, postings }) }
    }

    /// A tenant paid.
    pub fn payment(id: &str, at: Moment, tenant: &str, amount: Money) -> Result<Self, BillingError> {
        let amount = positive(amount, "a payment")?;
        let postings = [(Account::Payments, amount), (Account::Receivable(tenant.to_owned()), amount.negated())];
        Self::new(format!("payment/{id}"), at, What::Payment, postings)
    }

    /// A tenant got money back: what it had paid too much, or what a credit note gave it.
    pub fn refund(id: &str, at: Moment, tenant: &str, amount: Money) -> Result<Self, BillingError> {
        let amount = positive(amount, "a refund")?;
        let postings = [(Account::Receivable(tenant.to_owned()), amount), (Account::Refunds, amount.negated())];
        Self::new(format!("refund/{id}"), at, What::Refund, postings)
    }

    /// A partner was paid what it was owed.
    pub fn partner_paid(id: &str, at: Moment, partner: &str, amount: Money) -> Result<Self, BillingError> {
        let amount = positive(amount, "a payment")?;
        let postings = [(Account::PartnerPayable(partner.to_owned()), amount), (Account::Payments, amount.negated())];
        Self::new(format!("partner-paid/{id}"), at, What::PartnerPaid, postings)
    }

    /// Its id: the same entry has the same, however often it is added.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it happened.
    pub fn at(&self) -> Moment {
        self.at
    }

    /// What it is about.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// Its postings, by account.
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

fn positive(amount: Money, of: &'static str) -> Result<Money, BillingError> {
    amount.minor()?;
    if amount.is_negative() || amount.is_zero() { Err(BillingError::NotPositive(of)) } else { Ok(amount) }
}
