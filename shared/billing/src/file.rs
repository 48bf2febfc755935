//! `billing.toml`: what is sold, as operators write it. `docs/billing.md` says what every field means.

mod rates;
mod terms;

use std::collections::BTreeMap;

use torchmesh_settings::{FromSetting, Problem, Problems, Section};

use crate::{
    catalogue::Catalogue,
    currency::Currency,
    moment::Moment,
    money::Money,
    plan::{Partner, Plan, PlanKind},
    selector::Selector,
    share::Share,
};

/// Reads the text of `billing.toml`.
///
/// Error: every mistake in it, each with its place and the remedy.
pub fn read(text: &str) -> Result<Catalogue, Problems> {
    let table = text.parse().map_err(|error: toml::de::Error| {
        let message = error.to_string().trim_end().to_owned();
        Problems(vec![Problem { field: "the file".to_owned(), message }])
    })?;
    Section::read_all(table, catalogue)
}

fn catalogue(s: &mut Section) -> Catalogue {
    let currency = currency(s);
    let mut made = Catalogue { currency, ..Catalogue::default() };
    // In this order: a correction names a price, a plan a list, and a partner a plan.
    s.list("price", |s| rates::price(s, currency, &mut made.prices));
    s.list("correction", |s| rates::correction(s, currency, &mut made.prices));
    let mut plans = BTreeMap::new();
    s.list("plan", |s| {
        if let Some(plan) = terms::plan(s, currency, &made.prices) {
            once(s, "id", plan.id.clone(), plan, &mut plans);
        }
    });
    made.plans = plans;
    s.list("coupon", |s| {
        if let Some(coupon) = terms::coupon(s, currency) {
            once(s, "code", coupon.code.clone(), coupon, &mut made.coupons);
        }
    });
    s.list("partner", |s| {
        if let Some(partner) = partner(s, &made.plans) {
            once(s, "id", partner.id.clone(), partner, &mut made.partners);
        }
    });
    made
}

fn once<T>(s: &Section, field: &str, id: String, one: T, all: &mut BTreeMap<String, T>) {
    let message = format!("{id:?} is there twice; give each a name of its own");
    s.check(all.insert(id, one).is_none(), field, message);
}

/// The file's currency; where it is missing or wrong that is reported, and the rest is read in another one.
fn currency(s: &mut Section) -> Option<Currency> {
    parsed(s, "currency", s_required)
}

/// A field that must be there, as text.
fn s_required(s: &mut Section, field: &str) -> Option<String> {
    s.required::<String>(field)
}

/// A field that may be there, as text.
fn s_optional(s: &mut Section, field: &str) -> Option<String> {
    s.optional::<String>(field)
}

/// A text that is to be read as something.
fn parsed<T: std::str::FromStr<Err = crate::BillingError>>(
    s: &mut Section,
    field: &str,
    take: fn(&mut Section, &str) -> Option<String>,
) -> Option<T> {
    let text = take(s, field)?;
    match text.parse() {
        Ok(read) => Some(read),
        Err(error) => {
            s.problem(field, error.to_string());
            None
        }
    }
}

/// An amount: with its currency, or in that of the file.
fn money(s: &mut Section, field: &str, currency: Option<Currency>, required: bool) -> Option<Money> {
    let text = if required { s.required::<String>(field)? } else { s.optional::<String>(field)? };
    let read = match currency {
        _ if text.trim().contains(' ') => text.parse(),
        Some(currency) => Money::parse_in(text.trim(), currency),
        // The file's currency is what is wrong, and was reported.
        None => return None,
    };
    match read {
        Ok(amount) if amount.is_negative() => s.problem(field, "must not be less than 0"),
        Ok(amount) => return Some(amount),
        Err(error) => s.problem(field, error.to_string()),
    }
    None
}

/// An amount that is charged as it is, and so has no part of a minor unit.
fn whole_money(s: &mut Section, field: &str, currency: Option<Currency>, required: bool) -> Option<Money> {
    let amount = money(s, field, currency, required)?;
    s.check(amount.minor().is_ok(), field, format!("{amount} has a part of the currency's smallest unit; only prices of units may"));
    Some(amount)
}

/// A time, as TOML writes it or as text.
struct Time(Moment);

impl FromSetting for Time {
    const EXPECTED: &'static str = "a time such as \"2026-01-31\" or \"2026-01-31T12:00:00Z\"";

    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Datetime(time) => time.to_string(),
            other => return Err(format!("must be {}, not {other}", Self::EXPECTED)),
        };
        text.parse().map(Self).map_err(|_| format!("must be {}, not {text:?}", Self::EXPECTED))
    }
}

fn partner(s: &mut Section, plans: &BTreeMap<String, Plan>) -> Option<Partner> {
    let id = s.required::<String>("id");
    let mut models = Vec::new();
    for text in s.required::<Vec<String>>("models").unwrap_or_default() {
        match text.parse::<Selector>() {
            Ok(selector) => models.push(selector),
            Err(error) => s.problem("models", error.to_string()),
        }
    }
    s.check(!models.is_empty(), "models", "must name at least one, such as [\"acme-*\"]");
    let mut terms = BTreeMap::new();
    s.list("terms", |s| {
        let (from, plan) = (s.required::<Time>("from"), s.required::<String>("plan"));
        let (Some(Time(from)), Some(plan)) = (from, plan) else { return };
        let Some(share) = platform_share(plans, &plan) else {
            return s.problem("plan", format!("there is no plan {plan:?} of the kind \"partner\"; add it above"));
        };
        s.check(terms.insert(from, share).is_none(), "from", "is the same as that of other terms; take one of them out");
    });
    s.check(!terms.is_empty(), "terms", "must have at least one, such as [{ from = \"2026-01-01\", plan = \"partner\" }]");
    Some(Partner { id: id?, models, terms })
}

fn platform_share(plans: &BTreeMap<String, Plan>, plan: &str) -> Option<Share> {
    match plans.get(plan)?.kind {
        PlanKind::Partner { platform_share, .. } => Some(platform_share),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
