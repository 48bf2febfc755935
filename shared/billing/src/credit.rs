//! Prepaid credit: money, or a promise of it, that pays invoices before anything is due.

use serde::{Deserialize, Serialize};

use crate::{
    error::BillingError,
    ledger::{Account, Entry, Ledger, What},
    moment::Moment,
    money::Money,
    period::Period,
};

/// Some credit that a tenant was given or has bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreditGrant {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// How much.
    pub amount: Money,
    /// From when it can be used.
    pub granted: Moment,
    /// It pays for no period that begins then or later; none: it lasts.
    pub expires: Option<Moment>,
    /// Whether it was paid for; otherwise it was given.
    pub bought: bool,
}

impl CreditGrant {
    /// The account that says how much of it is left.
    pub fn account(&self) -> Account {
        Account::Credits { tenant: self.tenant.clone(), grant: self.id.clone() }
    }

    /// The entry that makes it.
    ///
    /// Error: the amount is not more than nothing, or has a part of a minor unit.
    pub fn entry(&self) -> Result<Entry, BillingError> {
        self.amount.minor()?;
        if self.amount.is_negative() || self.amount.is_zero() {
            return Err(BillingError::NotPositive("a credit"));
        }
        let (from, what) = if self.bought { (Account::Payments, What::CreditBought) } else { (Account::Promotions, What::CreditGiven) };
        Entry::new(format!("credit/{}", self.id), self.granted, what, [(from, self.amount), (self.account(), self.amount.negated())])
    }

    /// Whether it can pay the invoice of a period.
    pub fn pays(&self, period: &Period) -> bool {
        self.granted < period.end && self.expires.is_none_or(|expires| period.start < expires)
    }

    /// In which order credit is used: what expires first, then what is oldest.
    pub fn order(&self) -> (Moment, Moment, &str) {
        (self.expires.unwrap_or(Moment::LAST), self.granted, &self.id)
    }
}

/// The entries, dated `now`, that take expired credit off the books, once the oldest period of its tenants that is not invoiced yet begins at `open`.
///
/// What was bought becomes revenue; what was given is taken back.
pub fn expire<'a>(
    grants: impl IntoIterator<Item = &'a CreditGrant>,
    ledger: &Ledger,
    open: Moment,
    now: Moment,
) -> Result<Vec<Entry>, BillingError> {
    let mut entries = Vec::new();
    for grant in grants {
        if grant.expires.is_none_or(|expires| expires > open) {
            continue;
        }
        let left = ledger.balance(&grant.account(), grant.amount.currency(), Moment::LAST)?.negated();
        if left.is_zero() || left.is_negative() {
            continue;
        }
        let to = if grant.bought { Account::Revenue } else { Account::Promotions };
        let postings = [(grant.account(), left), (to, left.negated())];
        entries.push(Entry::new(format!("credit-expired/{}", grant.id), now, What::CreditExpired, postings)?);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(bought: bool) -> CreditGrant {
        CreditGrant {
            id: "g".into(),
            tenant: "acme".into(),
            amount: "50.00 EUR".parse().unwrap(),
            granted: "2026-01-10".parse().unwrap(),
            expires: Some("2026-03-15".parse().unwrap()),
            bought,
        }
    }

    #[test]
    fn credit_that_expired_leaves_the_books_when_the_periods_before_are_invoiced() {
        for (bought, to) in [(true, Account::Revenue), (false, Account::Promotions)] {
            let grant = grant(bought);
            let mut ledger = Ledger::default();
            ledger.append(grant.entry().unwrap()).unwrap();
            let eur = grant.amount.currency();
            let now = "2026-04-02".parse().unwrap();
            assert_eq!(expire([&grant], &ledger, "2026-03-01".parse().unwrap(), now).unwrap(), []);
            for _ in 0..2 {
                for entry in expire([&grant], &ledger, "2026-04-01".parse().unwrap(), now).unwrap() {
                    ledger.append(entry).unwrap();
                }
            }
            assert!(ledger.balance(&grant.account(), eur, Moment::LAST).unwrap().is_zero());
            let expected = if bought { "-50.00 EUR" } else { "0.00 EUR" };
            assert_eq!(ledger.balance(&to, eur, Moment::LAST).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_expires_first_is_used_first_and_then_what_is_oldest() {
        let at = |text: &str| text.parse::<Moment>().unwrap();
        let one = |id: &str, granted: &str, expires: Option<&str>| CreditGrant {
            id: id.into(),
            granted: at(granted),
            expires: expires.map(at),
            ..grant(true)
        };
        let mut grants = [
            one("a", "2026-01-01", None),
            one("b", "2026-02-01", Some("2026-09-01")),
            one("c", "2026-03-01", Some("2026-06-01")),
            one("d", "2026-01-15", Some("2026-09-01")),
        ];
        grants.sort_by(|one, other| one.order().cmp(&other.order()));
        assert_eq!(grants.map(|grant| grant.id), ["c", "d", "b", "a"]);
    }

    #[test]
    fn credit_of_nothing_is_refused() {
        for amount in ["0 EUR", "-1 EUR", "0.001 EUR"] {
            assert!(CreditGrant { amount: amount.parse().unwrap(), ..grant(true) }.entry().is_err(), "{amount}");
        }
    }
}
