//! The price book: what was, is and will be in force.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::Rate;
use crate::{error::BillingError, moment::Moment, selector::Selector, share::Share, unit::Unit};

/// The prices of some models, from an instant on, until a later version for the same models takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceVersion {
    /// What invoices name it by.
    pub id: String,
    /// Which list it belongs to; a plan names the list that it charges by.
    pub list: String,
    /// Which models.
    pub models: Selector,
    /// From when.
    pub from: Moment,
    /// What is charged. A unit that is not here is not charged.
    pub rates: BTreeMap<Unit, Rate>,
    /// Which share of it the calls of batches are charged; none: they are calls as all others are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Share>,
}

/// What a version should have said all along. Invoices from before it was known keep what they say, and are corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// What invoices name it by.
    pub id: String,
    /// Which version was wrong.
    pub version: String,
    /// Since when that is known: an invoice that was issued before goes by what was known before.
    pub known: Moment,
    /// What is charged instead, all of it. Batches have the version's share.
    pub rates: BTreeMap<Unit, Rate>,
}

/// Versions and corrections, which only ever grow in number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceBook {
    versions: BTreeMap<String, PriceVersion>,
    corrections: BTreeMap<String, Correction>,
    /// By list and models, the versions by when they begin.
    order: BTreeMap<String, BTreeMap<Selector, BTreeMap<Moment, String>>>,
}

/// A version as it is charged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<'a> {
    /// The version.
    pub version: &'a PriceVersion,
    /// The correction that holds for it, if any.
    pub correction: Option<&'a Correction>,
}

impl<'a> InForce<'a> {
    /// What is charged.
    pub fn rates(&self) -> &'a BTreeMap<Unit, Rate> {
        self.correction.map_or(&self.version.rates, |correction| &correction.rates)
    }

    /// What a unit is charged that has this rate, in a batch or not.
    pub(crate) fn charged(&self, rate: &'a Rate, batch: bool) -> Result<Cow<'a, Rate>, BillingError> {
        match self.version.batch.filter(|_| batch) {
            Some(share) => rate.shared(share).map(Cow::Owned),
            None => Ok(Cow::Borrowed(rate)),
        }
    }
}

impl PriceBook {
    /// Adds a version. In which order versions are added does not matter.
    ///
    /// Error: another one has its id, or begins with it for the same models of the same list; or a price of it has no such share as batches are charged.
    pub fn add(&mut self, version: PriceVersion) -> Result<(), BillingError> {
        let conflict = || BillingError::Conflict { what: "price", id: version.id.clone() };
        shareable(&version.id, &version.rates, version.batch)?;
        if let Some(there) = self.versions.get(&version.id) {
            return if *there == version { Ok(()) } else { Err(conflict()) };
        }
        let begins = self.order.entry(version.list.clone()).or_default().entry(version.models.clone()).or_default();
        if begins.contains_key(&version.from) {
            return Err(conflict());
        }
        begins.insert(version.from, version.id.clone());
        self.versions.insert(version.id.clone(), version);
        Ok(())
    }

    /// Corrects a version that is there.
    pub fn correct(&mut self, correction: Correction) -> Result<(), BillingError> {
        let Some(version) = self.versions.get(&correction.version) else {
            return Err(BillingError::Unknown { what: "price", id: correction.version });
        };
        shareable(&correction.id, &correction.rates, version.batch)?;
        match self.corrections.get(&correction.id) {
            Some(there) if *there == correction => Ok(()),
            Some(_) => Err(BillingError::Conflict { what: "correction", id: correction.id }),
            None => {
                self.corrections.insert(correction.id.clone(), correction);
                Ok(())
            }
        }
    }

    /// The version of a list that a model is charged by at an instant, as it was known at another.
    pub fn in_force(&self, list: &str, model: &str, at: Moment, known: Moment) -> Option<InForce<'_>> {
        let begun = self.order.get(list)?.iter().filter(|(models, _)| models.matches(model)).filter_map(|(models, begins)| {
            let id = begins.range(..=at).next_back()?.1;
            Some((models.precision(), id))
        });
        let version = self.versions.get(begun.max_by_key(|(precision, _)| *precision)?.1)?;
        Some(InForce { version, correction: self.corrected(&version.id, known) })
    }

    fn corrected(&self, version: &str, known: Moment) -> Option<&Correction> {
        let of_it = self.corrections.values().filter(|correction| correction.version == version && correction.known <= known);
        of_it.max_by_key(|correction| (correction.known, correction.id.as_str()))
    }

    /// Every version, by id.
    pub fn versions(&self) -> impl Iterator<Item = &PriceVersion> {
        self.versions.values()
    }

    /// Every correction, by id.
    pub fn corrections(&self) -> impl Iterator<Item = &Correction> {
        self.corrections.values()
    }

    /// Whether there is a list of this name.
    pub fn has_list(&self, list: &str) -> bool {
        self.order.contains_key(list)
    }

    /// When a list's prices change within a time: at these instants rollups are to be split.
    pub fn changes<'a>(&'a self, list: &'a str) -> impl Iterator<Item = Moment> + 'a {
        self.order.get(list).into_iter().flat_map(|by_models| by_models.values().flat_map(|begins| begins.keys().copied()))
    }
}

/// Whether each of these prices has a share that can be reckoned with.
fn shareable(id: &str, rates: &BTreeMap<Unit, Rate>, batch: Option<Share>) -> Result<(), BillingError> {
    let Some(share) = batch else { return Ok(()) };
    let wrong = rates.iter().find(|(_, rate)| rate.shared(share).is_err());
    wrong.map_or(Ok(()), |(unit, _)| Err(BillingError::NotShareable { id: id.to_owned(), unit: *unit, share }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, models: &str, from: &str, price: &str) -> PriceVersion {
        let rates = [(Unit::Calls, Rate::flat(price.parse().unwrap(), 1).unwrap())].into();
        let (list, models, from) = ("standard".into(), models.parse().unwrap(), from.parse().unwrap());
        PriceVersion { id: id.into(), list, models, from, rates, batch: None }
    }

    fn named(book: &PriceBook, model: &str, at: &str) -> Option<String> {
        book.in_force("standard", model, at.parse().unwrap(), Moment::LAST).map(|found| found.version.id.clone())
    }

    fn book(versions: &[PriceVersion]) -> PriceBook {
        let mut book = PriceBook::default();
        for version in versions {
            book.add(version.clone()).unwrap();
        }
        book
    }

    #[test]
    fn a_name_counts_before_a_beginning_and_a_long_beginning_before_a_short_one() {
        let book = book(&[
            version("all", "*", "2026-01-01", "1 EUR"),
            version("acme", "acme-*", "2026-01-01", "2 EUR"),
            version("acme-b", "acme-b*", "2026-01-01", "3 EUR"),
            version("big", "acme-big", "2026-01-01", "4 EUR"),
        ]);
        let found: Vec<_> = ["acme-big", "acme-bert", "acme-x", "é", ""].map(|model| named(&book, model, "2026-05-01").unwrap()).into();
        assert_eq!(found, ["big", "acme-b", "acme", "all", "all"]);
        assert_eq!(named(&book, "acme-big", "2025-12-31T23:59:59Z"), None);
        assert!(book.in_force("other", "acme-big", Moment::LAST, Moment::LAST).is_none());
    }

    #[test]
    fn a_later_version_takes_over_at_its_instant() {
        let book = book(&[version("new", "m", "2026-03-01", "2 EUR"), version("old", "m", "2026-01-01", "1 EUR")]);
        assert_eq!(named(&book, "m", "2026-02-28T23:59:59.999Z").unwrap(), "old");
        assert_eq!(named(&book, "m", "2026-03-01").unwrap(), "new");
    }

    #[test]
    fn what_is_written_down_stays() {
        let mut book = book(&[version("v", "m", "2026-01-01", "1 EUR")]);
        assert_eq!(book.add(version("v", "m", "2026-01-01", "1 EUR")), Ok(()));
        assert!(book.add(version("v", "m", "2026-01-01", "2 EUR")).is_err());
        assert!(book.add(version("w", "m", "2026-01-01", "2 EUR")).is_err());
    }

    #[test]
    fn a_correction_holds_for_whoever_knows_of_it() {
        let mut book = book(&[version("v", "m", "2026-01-01", "1 EUR")]);
        let rates = version("", "m", "2026-01-01", "3 EUR").rates;
        let known: Moment = "2026-02-05".parse().unwrap();
        book.correct(Correction { id: "c".into(), version: "v".into(), known, rates: rates.clone() }).unwrap();
        let corrected = |known| book.in_force("standard", "m", "2026-01-10".parse().unwrap(), known).unwrap().correction.is_some();
        assert!(corrected(known) && !corrected("2026-02-01".parse().unwrap()));
        assert!(book.clone().correct(Correction { id: "d".into(), version: "none".into(), known, rates }).is_err());
    }

    #[test]
    fn a_price_without_such_a_share_is_refused_whether_it_is_new_or_corrects_one() {
        let odd = Rate::flat("0.000000000001 EUR".parse().unwrap(), u64::MAX).unwrap();
        let priced = |id: &str, batch: &str, rate: Option<&Rate>| {
            let made = PriceVersion { batch: batch.parse().ok(), ..version(id, id, "2026-01-01", "1 EUR") };
            rate.map_or(made.clone(), |rate| PriceVersion { rates: [(Unit::Calls, rate.clone())].into(), ..made })
        };
        let refused = |id: &str| BillingError::NotShareable { id: id.into(), unit: Unit::Calls, share: "50%".parse().unwrap() };
        let mut book = PriceBook::default();
        assert_eq!(book.add(priced("a", "50%", Some(&odd))), Err(refused("a")));
        assert_eq!(book.add(priced("b", "100%", Some(&odd))), Ok(()));
        assert_eq!(book.add(priced("c", "50%", None)), Ok(()));
        let rates = [(Unit::Calls, odd.clone())].into();
        let correction = Correction { id: "d".into(), version: "c".into(), known: "2026-02-05".parse().unwrap(), rates };
        assert_eq!(book.correct(correction), Err(refused("d")));
        assert!(refused("a").to_string().contains("\"a\"") && book.versions().count() == 2);
    }
}
