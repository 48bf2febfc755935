//! The ledger: entries that balance, and are only ever added.
//!
//! A balance is a sum over entries; nothing else is kept. What was wrong is taken back by an entry of its own.

mod entry;

use std::collections::BTreeMap;

pub use entry::{Account, Entry, Posting, What};

use crate::{currency::Currency, error::BillingError, moment::Moment, money::Money};

/// What became of an entry that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is there now.
    New,
    /// It was there already.
    Already,
}

/// All entries, in the order of their time, and of their ids where that is the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<(Moment, String), Entry>,
    ids: BTreeMap<String, Moment>,
}

impl Ledger {
    /// A ledger of entries in whatever order; the same one twice counts once.
    ///
    /// Error: two with one id differ, or all together use more of a credit than there is.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Result<Self, BillingError> {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.put(entry)?;
        }
        // Once for all accounts: a sum for each entry would take the square of their number.
        let balances = ledger.balances()?;
        let overspent = |account: &Account, balance: &Money| matches!(account, Account::Credits { .. }) && !balance.is_negative();
        match balances.iter().find(|((account, _), balance)| overspent(account, balance)) {
            Some(((account, _), _)) => Err(BillingError::Overspent(account.to_string())),
            None => Ok(ledger),
        }
    }

    /// Some entries of a ledger, for what is asked of some of its accounts: whether credits are enough cannot be told from them.
    ///
    /// Error: two with one id differ.
    pub fn part(entries: impl IntoIterator<Item = Entry>) -> Result<Self, BillingError> {
        let mut ledger = Self::default();
        for entry in entries {
            ledger.put(entry)?;
        }
        Ok(ledger)
    }

    /// Adds an entry.
    ///
    /// Error: another one has its id, or it uses more of a credit than is left.
    pub fn append(&mut self, entry: Entry) -> Result<Appended, BillingError> {
        let key = (entry.at(), entry.id().to_owned());
        let appended = self.put(entry)?;
        if appended == Appended::New
            && let Some(entry) = self.entries.get(&key)
            && let Err(error) = self.check_credits(entry)
        {
            self.ids.remove(&key.1);
            self.entries.remove(&key);
            return Err(error);
        }
        Ok(appended)
    }

    /// Takes an entry back by one that posts the opposite.
    ///
    /// Error: there is none of this id.
    pub fn reversal(&self, id: &str, at: Moment) -> Result<Entry, BillingError> {
        let entry = self.get(id).ok_or_else(|| BillingError::Unknown { what: "entry", id: id.to_owned() })?;
        let postings = entry.postings().iter().map(|posting| (posting.account.clone(), posting.amount.negated()));
        Entry::new(format!("reversal/{id}"), at, What::Reversal(id.to_owned()), postings)
    }

    /// An entry by its id.
    pub fn get(&self, id: &str) -> Option<&Entry> {
        let at = self.ids.get(id)?;
        self.entries.get(&(*at, id.to_owned()))
    }

    /// All entries, in the order of their time.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What an account has in a currency by the entries before an instant: more than nothing is debit, less is credit.
    pub fn balance(&self, account: &Account, currency: Currency, before: Moment) -> Result<Money, BillingError> {
        let postings = self.entries.range(..(before, String::new())).flat_map(|(_, entry)| entry.postings());
        let of_it = postings.filter(|posting| posting.account == *account && posting.amount.currency() == currency);
        Money::sum(currency, of_it.map(|posting| posting.amount))
    }

    /// What all accounts have; those that have nothing are left out.
    pub fn balances(&self) -> Result<BTreeMap<(Account, Currency), Money>, BillingError> {
        let mut balances: BTreeMap<(Account, Currency), Money> = BTreeMap::new();
        for posting in self.entries.values().flat_map(Entry::postings) {
            let currency = posting.amount.currency();
            let balance = balances.entry((posting.account.clone(), currency)).or_insert(Money::zero(currency));
            *balance = balance.plus(posting.amount)?;
        }
        balances.retain(|_, balance| !balance.is_zero());
        Ok(balances)
    }

    fn put(&mut self, entry: Entry) -> Result<Appended, BillingError> {
        if let Some(there) = self.get(entry.id()) {
            let same = *there == entry;
            return if same { Ok(Appended::Already) } else { Err(BillingError::Conflict { what: "entry", id: entry.id().to_owned() }) };
        }
        self.ids.insert(entry.id().to_owned(), entry.at());
        self.entries.insert((entry.at(), entry.id().to_owned()), entry);
        Ok(Appended::New)
    }

    /// Whether the credits that an entry uses are there.
    fn check_credits(&self, entry: &Entry) -> Result<(), BillingError> {
        for posting in entry.postings().iter().filter(|posting| matches!(posting.account, Account::Credits { .. })) {
            let left = self.balance(&posting.account, posting.amount.currency(), Moment::LAST)?;
            if !left.is_negative() && !left.is_zero() {
                return Err(BillingError::Overspent(entry.id().to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
