//! The limits file: rules and prices.
//!
//! ```toml
//! [[limit]]
//! per = "tenant"              # key, tenant, model or address
//! model = "smol*"             # optional: tenant, key and model say whom the limit is for
//! requests = "1000/1m"
//! tokens = "100k/1m"
//! concurrent = 20
//!
//! [[price]]
//! model = "smollm2"
//! input_per_million_tokens = "0.15"
//! output_per_million_tokens = "0.60"
//! batch = "50%"               # optional: what lines of batches cost of it
//! ```

use std::{collections::HashSet, path::Path, sync::Arc};

use torchmesh_settings::{Problem, Problems, Section};

use crate::{
    amount::{self, Amount, Unit},
    gcra::Limit,
    pattern::Pattern,
    price::{self, Micros, Price},
    rule::{Allowance, Measure, Per, Rule},
};

/// What one reading of the file says.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The limits.
    pub limits: Vec<Arc<Rule>>,
    /// The prices; the first that names a model is its.
    pub prices: Vec<Price>,
}

const SAYS_NOTHING: &str = "limits nothing; add requests, tokens, bytes, concurrent or budget";

impl Rules {
    /// Reads the file.
    ///
    /// Error: every mistake in it, a line each.
    pub fn open(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|problems| format!("{}:\n{problems}", path.display()))
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let table = text.parse().map_err(|error: toml::de::Error| {
            let message = error.to_string();
            Problems(vec![Problem { field: "the file".to_owned(), message: message.trim_end().to_owned() }])
        })?;
        Section::read_all(table, |s| {
            let mut seen = HashSet::new();
            let limits = s.list("limit", |s| limit(s, &mut seen)).into_iter().flatten().map(Arc::new).collect();
            let prices = s.list("price", price);
            Self { limits, prices }
        })
    }

    /// What a model's use costs; nothing where no price names it.
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.prices.iter().find(|price| price.model.matches(model))
    }
}

fn limit(s: &mut Section, seen: &mut HashSet<u64>) -> Vec<Rule> {
    let per = per(s);
    let mut pattern = |key: &str| s.optional::<String>(key).map(Pattern::new);
    let (tenant, key, model) = (pattern("tenant"), pattern("key"), pattern("model"));
    let rule = |measure, allowance, said| {
        let (tenant, key, model) = (tenant.clone(), key.clone(), model.clone());
        let rule = Rule { id: 0, per, measure, allowance, said, tenant, key, model };
        Rule { id: rule.identify(), ..rule }
    };
    let mut rules = Vec::new();
    let rates = [
        ("requests", Measure::Requests, Unit::Count),
        ("tokens", Measure::Tokens, Unit::Count),
        ("bytes", Measure::Bytes, Unit::Bytes),
        ("budget", Measure::Money, Unit::Money),
    ];
    let amounts = rates.map(|(field, measure, unit)| (field, measure, unit, amount(s, field, unit)));
    let burst = burst(s, &amounts);
    for (field, measure, _, amount) in amounts {
        let Some(Amount { amount, period, said }) = amount else { continue };
        s.check(
            period.is_some() || per != Per::Address,
            field,
            "cannot be counted by the month for each address; there is no end to addresses",
        );
        let allowance =
            period.map_or(Allowance::Month(amount), |period| Allowance::Rate(Limit::new(amount, period, burst.unwrap_or(amount))));
        rules.push((field, rule(measure, allowance, said)));
    }
    if let Some(most) = s.optional::<u32>("concurrent") {
        s.check(most > 0, "concurrent", "must be at least 1; to let nobody in, take the key out of the keys file");
        rules.push(("concurrent", rule(Measure::Concurrent, Allowance::AtOnce(most), most.to_string())));
    }
    s.check(!rules.is_empty(), "per", SAYS_NOTHING);
    for (field, rule) in &rules {
        s.check(seen.insert(rule.id), field, "is limited for the same callers twice; take one of the two out");
    }
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn per(s: &mut Section) -> Per {
    let read = s.required::<String>("per");
    match read.as_deref() {
        Some("key") => Per::Key,
        Some("model") => Per::Model,
        Some("address") => Per::Address,
        Some("tenant") | None => Per::Tenant,
        Some(_) => {
            s.problem("per", "must be \"key\", \"tenant\", \"model\" or \"address\"");
            Per::Tenant
        }
    }
}

fn amount(s: &mut Section, field: &str, unit: Unit) -> Option<Amount> {
    let text = s.optional::<String>(field)?;
    let read = Amount::read(&text, unit);
    s.check(read.is_some(), field, unit.expected());
    read
}

/// How much may come at once: it belongs to the only amount that is given for a time.
fn burst(s: &mut Section, amounts: &[(&str, Measure, Unit, Option<Amount>); 4]) -> Option<u64> {
    if !s.has("burst") {
        return None;
    }
    let timed: Vec<_> = amounts.iter().filter(|(.., amount)| amount.as_ref().is_some_and(|amount| amount.period.is_some())).collect();
    let unit = timed.first().map_or(Unit::Count, |(_, _, unit, _)| *unit);
    s.check(timed.len() == 1, "burst", "belongs to one amount for a time; give each that has a burst a [[limit]] of its own");
    let text = s.optional::<BurstText>("burst")?.0;
    let read = amount::count(&text, unit).filter(|burst| *burst > 0);
    s.check(read.is_some(), "burst", "must be an amount from 1, such as 50, \"10k\" or \"64MiB\"");
    read
}

/// A number, or a text with a unit.
struct BurstText(String);

impl torchmesh_settings::FromSetting for BurstText {
    const EXPECTED: &'static str = "an amount such as 50, \"10k\" or \"64MiB\"";

    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(number) => Ok(Self(number.to_string())),
            toml::Value::String(text) => Ok(Self(text.clone())),
            other => Err(format!("must be {}, not {other}", Self::EXPECTED)),
        }
    }
}

fn price(s: &mut Section) -> Price {
    let model = Pattern::new(s.or("model", "*".to_owned()));
    let mut read = |field: &str| -> Option<Micros> {
        let text = s.optional::<String>(field)?;
        let read = price::micros(&text).filter(|micros| *micros <= 1 << 50);
        s.check(read.is_some(), field, "must be an amount of money as a text, such as \"0.15\", with at most six digits behind the point");
        read
    };
    let input = read("input_per_million_tokens").unwrap_or_default();
    let cached = read("cached_per_million_tokens").unwrap_or(input);
    let (output, request) = (read("output_per_million_tokens"), read("per_request"));
    let batch = s.optional::<String>("batch").map_or(Some(price::WHOLE), |text| price::percent(&text));
    s.check(batch.is_some(), "batch", "must be a share from \"0%\" to \"100%\" such as \"50%\", with at most four digits behind the point");
    let (output, request, batch) = (output.unwrap_or_default(), request.unwrap_or_default(), batch.unwrap_or(price::WHOLE));
    Price { model, input, cached, output, request, batch }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let Err(found) = Rules::parse(text) else { panic!("was taken: {text}") };
        found.0.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_limit_becomes_a_rule_for_each_of_its_amounts() {
        let rules = Rules::parse(
            r#"
            [[limit]]
            per = "tenant"
            model = "smol*"
            requests = "1000/1m"
            tokens = "2M/month"
            concurrent = 20

            [[limit]]
            per = "key"
            bytes = "1MiB/1s"
            burst = "4MiB"

            [[price]]
            model = "smollm2"
            input_per_million_tokens = "0.15"

            [[price]]
            model = "half"
            input_per_million_tokens = "0.15"
            cached_per_million_tokens = "0"
            batch = "50%"
            "#,
        )
        .unwrap();
        let allowances: Vec<_> = rules.limits.iter().map(|rule| (rule.measure, rule.allowance)).collect();
        let rate = |amount, seconds, burst| Allowance::Rate(Limit::new(amount, Duration::from_secs(seconds), burst));
        assert_eq!(
            allowances,
            [
                (Measure::Requests, rate(1000, 60, 1000)),
                (Measure::Tokens, Allowance::Month(2_000_000)),
                (Measure::Concurrent, Allowance::AtOnce(20)),
                (Measure::Bytes, rate(1 << 20, 1, 4 << 20)),
            ]
        );
        let prices = |model| rules.price(model).map(|price| (price.input, price.cached, price.batch));
        assert_eq!(prices("smollm2"), Some((150_000, 150_000, price::WHOLE)), "where nothing is said of them, they cost what all do");
        assert_eq!(prices("half"), Some((150_000, 0, 500_000)));
        assert!(rules.price("minilm").is_none());
    }

    #[test]
    fn every_mistake_is_named() {
        let found = problems(
            r#"
            [[limit]]
            per = "planet"
            requests = "many"
            [[limit]]
            per = "address"
            tokens = "1k/month"
            [[limit]]
            per = "key"
            [[limit]]
            per = "key"
            requests = "1/1s"
            tokens = "1/1s"
            burst = 3
            concurrent = 0
            colour = "red"
            [[price]]
            per_request = "cheap"
            cached_per_million_tokens = 0.075
            batch = "0.5"
            "#,
        );
        for field in [
            "limit[0].per",
            "limit[0].requests",
            "limit[1].tokens",
            "limit[2].per",
            "limit[3].burst",
            "limit[3].concurrent",
            "limit[3].colour",
            "price[0].per_request",
            "price[0].cached_per_million_tokens",
            "price[0].batch",
        ] {
            assert!(found.iter().any(|named| named == field), "{field} is not among {found:?}");
        }
    }

    #[test]
    fn the_same_limit_twice_is_a_mistake_and_two_times_for_one_measure_are_none() {
        assert_eq!(problems("[[limit]]\nper='key'\nrequests='10/1s'\n[[limit]]\nper='key'\nrequests='10/1s'"), ["limit[1].requests"]);
        assert!(Rules::parse("[[limit]]\nper='key'\nrequests='10/1s'\n[[limit]]\nper='key'\nrequests='10000/1h'").is_ok());
    }

    #[test]
    fn text_that_is_no_toml_is_refused() {
        assert_eq!(problems("[[limit"), ["the file"]);
    }
}
