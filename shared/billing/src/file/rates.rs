//! `[[price]]` and `[[correction]]`.

use std::collections::BTreeMap;

use torchmesh_settings::Section;

use super::{Time, money, parsed, s_optional, s_required};
use crate::{
    currency::Currency,
    error::BillingError,
    price::{Correction, PriceBook, PriceVersion, Rate, Scheme, Tier},
    selector::Selector,
    share::Share,
    unit::Unit,
};

pub(super) fn price(s: &mut Section, currency: Option<Currency>, book: &mut PriceBook) {
    let (id, list) = (s.required::<String>("id"), s.or("list", "standard".to_owned()));
    let models = parsed::<Selector>(s, "model", s_required);
    let from = s.required::<Time>("from");
    let rates = rates(s, currency);
    let batch = parsed::<Share>(s, "batch", s_optional);
    let (Some(id), Some(models), Some(Time(from))) = (id, models, from) else { return };
    match book.add(PriceVersion { id, list, models, from, rates, batch }) {
        Err(BillingError::Conflict { id, .. }) => {
            s.problem("id", format!("{id:?} has the id of another price, or its list, model and from; take one of the two out"));
        }
        Err(error @ BillingError::NotShareable { .. }) => s.problem("batch", error.to_string()),
        Err(error) => s.problem("id", error.to_string()),
        Ok(()) => {}
    }
}

pub(super) fn correction(s: &mut Section, currency: Option<Currency>, book: &mut PriceBook) {
    let (id, version) = (s.required::<String>("id"), s.required::<String>("price"));
    let known = s.required::<Time>("known");
    let rates = rates(s, currency);
    let (Some(id), Some(version), Some(Time(known))) = (id, version, known) else { return };
    let problem = match book.correct(Correction { id, version, known, rates }) {
        Ok(()) => return,
        Err(BillingError::Unknown { id, .. }) => {
            ("price", format!("there is no price {id:?}; name the id of the [[price]] that was wrong"))
        }
        Err(error @ BillingError::NotShareable { .. }) => ("rate", error.to_string()),
        Err(error) => ("id", error.to_string()),
    };
    s.problem(problem.0, problem.1);
}

fn rates(s: &mut Section, currency: Option<Currency>) -> BTreeMap<Unit, Rate> {
    let mut rates = BTreeMap::new();
    s.list("rate", |s| {
        let unit = parsed::<Unit>(s, "unit", s_required);
        let rate = rate(s, currency);
        if let (Some(unit), Some(rate)) = (unit, rate) {
            s.check(rates.insert(unit, rate).is_none(), "unit", format!("{unit} has a price already; take one of the two out"));
        }
    });
    rates
}

fn rate(s: &mut Section, currency: Option<Currency>) -> Option<Rate> {
    let per = s.or("per", 1_u64);
    let scheme = if s.has("tiers") { tiered(s, currency) } else { money(s, "price", currency, true).map(Scheme::Flat) };
    match Rate::new(per, scheme?) {
        Ok(rate) => Some(rate),
        Err(error) => {
            s.problem(if per == 0 { "per" } else { "tiers" }, error.to_string());
            None
        }
    }
}

fn tiered(s: &mut Section, currency: Option<Currency>) -> Option<Scheme> {
    let mode = s_optional(s, "mode");
    if s.has("price") {
        s.optional::<String>("price");
        s.problem("price", "says what tiers say already; take one of the two out");
    }
    let tiers = s.list("tiers", |s| {
        let (up_to, price) = (s.optional::<u64>("up_to"), money(s, "price", currency, true));
        price.map(|price| Tier { up_to, price })
    });
    let tiers = tiers.into_iter().collect::<Option<Vec<_>>>();
    match mode.as_deref() {
        Some("graduated") => tiers.map(Scheme::Graduated),
        Some("volume") => tiers.map(Scheme::Volume),
        _ => {
            s.problem(
                "mode",
                "must be \"graduated\" (each tier's units at its price) or \"volume\" (all units at the price of the tier that is reached)",
            );
            None
        }
    }
}
