//! Routes from TOML. Every mistake is in one report, and a text with a mistake gives no routes at all.

use std::{collections::HashMap, time::Duration};

use http::{HeaderName, HeaderValue};
use toml::Value;
use torchmesh_api::ids::{ModelName, ModelVersion, TenantId};
use torchmesh_relay::balance::Policy;
use torchmesh_settings::{FromSetting, Problem, Problems, Section};

use crate::{cache::Caching, prompt::ByPrefix};

use super::{
    Destination, Exception, FallbackWhen, Route, Routes, Sticky, except,
    shadow::{Compare, Shadow},
    tangle,
};

/// Reads the text of a file.
pub fn parse(text: &str) -> Result<Routes, Problems> {
    let whole = |message: String| Problems(vec![Problem { field: "file".to_owned(), message }]);
    let table = toml::from_str(text).map_err(|error: toml::de::Error| whole(error.to_string()))?;
    Section::read_all(table, |s| {
        let mut routes = HashMap::new();
        for (at, (name, route)) in s.list("route", read_route).into_iter().enumerate() {
            let Some(name) = name else { continue };
            if routes.insert(name.clone(), route).is_some() {
                s.problem(&format!("route[{at}].model"), format!("{name} has a route already; a model has one"));
            }
        }
        for (name, message) in tangle::find(&routes) {
            s.problem(&format!("route of {name}"), message);
        }
        Routes::new(routes)
    })
}

fn read_route(s: &mut Section) -> (Option<ModelName>, Route) {
    let name = s.required::<Name>("model").map(|name| name.0);
    let own = name.clone();
    let shares = s.list("to", |s| (read_destination(s, own.as_ref()), s.or("weight", 100.0)));
    s.check(!shares.is_empty(), "to", "must name at least one destination, such as to = [{ version = \"3\" }]");
    let total: f64 = shares.iter().map(|(_, weight)| weight).sum();
    s.check(shares.iter().all(|(_, weight)| *weight >= 0.0), "to", "a weight must not be below 0");
    s.check(shares.is_empty() || (total - 100.0).abs() < 1e-6, "to", format!("the weights must be 100 together, not {total}"));
    let exceptions = s.list("except", |s| (except::read(s), read_destination(s, own.as_ref())));
    let alone = s.has("fallback_when") && !s.has("fallback");
    s.check(!alone, "fallback_when", "is for a route with a fallback");
    let (by_prefix, policy) = read_balance(s);
    let route = Route {
        shares: shares.into_iter().filter_map(|(to, weight)| Some((to?, weight))).collect(),
        exceptions: exceptions.into_iter().filter_map(|(when, to)| Some(Exception { when, to: to? })).collect(),
        sticky: s.or("sticky", Sticky::default()),
        fallback: s.or("fallback", Vec::<Name>::new()).into_iter().map(|name| name.0).collect(),
        fallback_when: s.or("fallback_when", FallbackWhen::default()),
        shadow: if s.has("shadow") { s.section("shadow", |s| read_shadow(s, own.as_ref())) } else { None },
        caching: if s.has("cache") { Some(s.section("cache", read_caching)) } else { None },
        resume: s.or("resume", false),
        by_prefix,
        policy,
    };
    (name, route)
}

/// `model` (the route's own where it is not given) and `version`.
fn read_destination(s: &mut Section, own: Option<&ModelName>) -> Option<Destination> {
    let model = s.optional::<Name>("model").map(|name| name.0).or_else(|| own.cloned());
    let version = s.optional::<Version>("version").map(|version| version.0);
    Some(Destination { model: model?, version })
}

/// `version`, `model` (the route's own where it is not given), `percent`, and how answers are compared.
fn read_shadow(s: &mut Section, own: Option<&ModelName>) -> Option<Shadow> {
    let version = s.required::<Version>("version").map(|version| version.0);
    let model = s.optional::<Name>("model").map(|name| name.0).or_else(|| own.cloned());
    let percent = s.or("percent", 10.0);
    s.check(percent > 0.0 && percent <= 100.0, "percent", "must be above 0 and at most 100");
    let (compare, tolerance) = (s.or("compare", Compare::default()), s.or("tolerance", 0.01));
    s.check(tolerance >= 0.0, "tolerance", "must not be below 0");
    Some(Shadow { to: Destination { model: model?, version: Some(version?) }, percent, compare, tolerance })
}

/// `ttl`, and whether tenants share.
fn read_caching(s: &mut Section) -> Caching {
    let ttl = s.or("ttl", Duration::from_secs(600));
    s.check(ttl > Duration::ZERO, "ttl", "must be above 0; without the table cache nothing is kept");
    Caching { ttl, shared: s.or("shared", false) }
}

/// `balance`: by prefix, and whether tenants share what workers have read; or another policy than the router's.
fn read_balance(s: &mut Section) -> (Option<ByPrefix>, Option<Policy>) {
    let (given, without) = (s.has("share_prefixes"), !s.has("balance"));
    let (balance, shared) = (s.optional::<Balance>("balance"), s.or("share_prefixes", false));
    let alone = given && (without || matches!(balance, Some(Balance::Policy(_))));
    s.check(!alone, "share_prefixes", "is for a route with balance = \"prefix\"");
    match balance {
        Some(Balance::Prefix) => (Some(ByPrefix { shared }), None),
        Some(Balance::Policy(policy)) => (None, Some(policy)),
        None => (None, None),
    }
}

macro_rules! checked_text {
    ($type:ident($inner:ty), $expected:literal, $read:expr) => {
        pub(super) struct $type(pub(super) $inner);

        impl FromSetting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_setting(value: &Value) -> Result<Self, String> {
                let read: fn(&str) -> Option<$inner> = $read;
                value.as_str().and_then(read).map(Self).ok_or_else(|| format!("must be {}, not {value}", Self::EXPECTED))
            }
        }
    };
}

checked_text!(Name(ModelName), "a model's name such as \"minilm\"", |text| ModelName::parse(text).ok());
checked_text!(Version(ModelVersion), "a version such as \"3\"", ModelVersion::parse);
checked_text!(Header(HeaderName), "a header's name such as \"x-canary\"", |text| text.to_lowercase().parse().ok());
checked_text!(Text(HeaderValue), "a header's value", |text| text.parse().ok());
checked_text!(Tenant(HeaderValue), "a tenant's id such as \"acme\"", |text| TenantId::parse(text).ok()?.as_str().parse().ok());

enum Balance {
    Prefix,
    Policy(Policy),
}

impl FromSetting for Balance {
    const EXPECTED: &'static str = Policy::EXPECTED;
    fn from_setting(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("prefix") => Ok(Self::Prefix),
            _ => Policy::from_setting(value).map(Self::Policy).map_err(|_| format!("must be \"prefix\", {}, not {value}", Self::EXPECTED)),
        }
    }
}

impl FromSetting for Sticky {
    const EXPECTED: &'static str = "\"request\", \"tenant\", \"session\", \"content\" or a header such as { header = \"x-user\" }";
    fn from_setting(value: &Value) -> Result<Self, String> {
        if let Value::Table(table) = value
            && let (Some(header), 1) = (table.get("header"), table.len())
        {
            return Header::from_setting(header).map(|header| Self::Header(header.0));
        }
        match value.as_str() {
            Some("request") => Ok(Self::Request),
            Some("tenant") => Ok(Self::Tenant),
            Some("session") => Ok(Self::Session),
            Some("content") => Ok(Self::Content),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

impl FromSetting for FallbackWhen {
    const EXPECTED: &'static str = "\"absent\" or \"failing\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("absent") => Ok(Self::Absent),
            Some("failing") => Ok(Self::Failing),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

impl FromSetting for Compare {
    const EXPECTED: &'static str = "\"values\" or \"argmax\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("values") => Ok(Self::Values),
            Some("argmax") => Ok(Self::Argmax),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_mistake_of_a_file_is_in_one_report() {
        let report = report(
            r#"
            [[route]]
            model = "a b"
            to = [{ version = "x" }]
            [[route]]
            model = "m"
            to = [{ version = "1", weight = 60 }, { version = "2", weight = 30 }]
            sticky = "user"
            except = [{ header = "x-a", version = "2" }]
            [[route]]
            model = "n"
            [[route]]
            model = "n"
            to = [{ version = "1" }]
            colour = "red"
            [[route]]
            model = "o"
            to = [{ version = "1" }]
            shadow = { percent = 0, compare = "taste" }
            balance = "warmth"
        "#,
        );
        for part in [
            "route[0].model: must be a model's name",
            "route[0].to[0].version: must be a version",
            "route[1].to: the weights must be 100 together, not 90",
            "route[1].sticky: must be \"request\", \"tenant\", \"session\", \"content\" or a header",
            "route[1].except[0].header: needs a value, or present = true",
            "route[2].to: must name at least one destination",
            "route[3].model: n has a route already",
            "route[3].colour: is not a setting here",
            "route[4].shadow.version: is required",
            "route[4].shadow.percent: must be above 0 and at most 100",
            "route[4].shadow.compare: must be \"values\" or \"argmax\"",
            "route[4].balance: must be \"prefix\", \"peak_ewma\", \"round_robin\", \"least_in_flight\", \"hash\" or \"reported\", not \"warmth\"",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn what_does_not_go_together_in_a_route_is_told_with_its_place() {
        let report = report(
            r#"
            [[route]]
            model = "p"
            to = [{}]
            share_prefixes = true
            sticky = { header = "x y" }
            fallback_when = "failing"
            except = [
                { version = "1" },
                { value = "yes", present = true, tenant = "a", tenants = ["b"], version = "1" },
                { header = "x-a", value = "1", present = true, tenants = [], version = "1" },
                { tenant = "a", when = [{}, { header = "x-a" }, { tenants = ["a b"], colour = "red" }], version = "1" },
            ]
            [[route]]
            model = "q"
            to = [{}]
            sticky = { header = "x-user", tenant = "a" }
            fallback = ["p"]
            fallback_when = "tired"
            [[route]]
            model = "r"
            to = [{}]
            balance = "reported"
            share_prefixes = true
        "#,
        );
        for part in [
            "route[0].share_prefixes: is for a route with balance = \"prefix\"",
            "route[0].sticky: must be a header's name such as \"x-canary\", not \"x y\"",
            "route[0].fallback_when: is for a route with a fallback",
            "route[0].except[0].header: must be given, or tenant, tenants or when",
            "route[0].except[1].value: is for a header",
            "route[0].except[1].present: is for a header",
            "route[0].except[1].present: and value must not both be given",
            "route[0].except[1].tenant: and tenants must not both be given",
            "route[0].except[2].present: and value must not both be given",
            "route[0].except[2].tenants: must name at least one tenant",
            "route[0].except[3].when[0].header: must be given, or tenant or tenants",
            "route[0].except[3].when[1].header: needs a value",
            "route[0].except[3].when[2].tenants: ",
            "route[0].except[3].when[2].colour: is not a setting here",
            "route[1].sticky: must be \"request\"",
            "route[1].fallback_when: must be \"absent\" or \"failing\", not \"tired\"",
            "route[2].share_prefixes: is for a route with balance = \"prefix\"",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn a_route_may_send_calls_by_their_prefix_or_by_a_policy_of_its_own() {
        let balance = |more: &str| {
            let routes = parse(&format!("[[route]]\nmodel = 'm'\nto = [{{}}]\n{more}")).unwrap();
            let route = routes.get(&ModelName::parse("m").unwrap()).unwrap();
            (route.by_prefix, route.policy)
        };
        assert_eq!(balance(""), (None, None));
        assert_eq!(balance("balance = 'prefix'"), (Some(ByPrefix { shared: false }), None));
        assert_eq!(balance("balance = 'prefix'\nshare_prefixes = true"), (Some(ByPrefix { shared: true }), None));
        for (word, policy) in [
            ("peak_ewma", Policy::PeakEwma),
            ("round_robin", Policy::RoundRobin),
            ("least_in_flight", Policy::LeastInFlight),
            ("hash", Policy::Hash),
            ("reported", Policy::Reported),
        ] {
            assert_eq!(balance(&format!("balance = '{word}'")), (None, Some(policy)));
        }
    }

    #[test]
    fn circles_are_refused_with_the_way_around() {
        let alias = report("[[route]]\nmodel = 'a'\nto = [{ model = 'b' }]\n[[route]]\nmodel = 'b'\nto = [{ model = 'a' }]");
        assert!(alias.contains("goes in a circle: a → b → a"), "{alias}");
        let fallback = report("[[route]]\nmodel = 'a'\nto = [{ version = '1' }]\nfallback = ['a']");
        assert!(fallback.contains("goes in a circle: a → a"), "{fallback}");
        let aliases = "[[route]]\nmodel = 'a'\nto = [{ model = 'b' }]\n[[route]]\nmodel = 'b'\nto = [{ model = 'c' }]\n";
        let round =
            report(&format!("{aliases}[[route]]\nmodel = 'c'\nto = [{{ version = '1' }}]\nexcept = [{{ tenant = 't', model = 'a' }}]"));
        assert!(round.contains("goes in a circle: a → b → c → a"), "{round}");
        let back = report(&format!("{aliases}[[route]]\nmodel = 'c'\nto = [{{ version = '1' }}]\nfallback = ['b']"));
        assert!(back.contains("goes in a circle: b → c → b"), "{back}");
    }

    #[test]
    fn a_models_own_name_is_the_model_itself_and_one_that_nobody_has_is_waited_for() {
        for good in [
            "to = [{ model = 'a' }]",
            "to = [{ model = 'b', version = '1' }]",
            "to = [{}]\nfallback = ['nobody']",
            "to = [{ model = 'nobody' }]",
        ] {
            assert!(parse(&format!("[[route]]\nmodel = 'a'\n{good}")).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_says_where() {
        assert!(report("[[route]").contains("line 1"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
