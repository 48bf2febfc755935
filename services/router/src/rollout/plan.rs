//! What an operator asks for.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Value;
use torchmesh_api::ids::{ModelName, ModelVersion};
use torchmesh_settings::{FromSetting, Problems, Section};

use super::stored;

/// The most steps of a plan.
const MOST_STEPS: usize = 20;
/// The shortest time that a step may have: shorter, and routers would be judged that have not heard of it.
const SHORTEST: Duration = Duration::from_secs(5);

/// A rollout, as it was asked for. [`Plan::read`] has the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `model`: the name that callers use, and whose route is changed. Required.
    #[serde(serialize_with = "stored::text", deserialize_with = "stored::model")]
    pub model: ModelName,
    /// `from`: the version that answers now, and that is gone back to. Required.
    #[serde(serialize_with = "stored::text", deserialize_with = "stored::version")]
    pub from: ModelVersion,
    /// `to`: the version that is to take over. Required.
    #[serde(serialize_with = "stored::text", deserialize_with = "stored::version")]
    pub to: ModelVersion,
    /// `steps`: its shares in percent, rising, the last 100. Default 1, 5, 25, 50, 100; 2 to 20 of them.
    pub steps: Vec<f64>,
    /// `every`: how long each step takes at least. Default 2m, at least 5s.
    pub every: Duration,
    /// `patience`: how long a step waits for evidence before the rollout ends as rolled back. Default 24h, at least `every`.
    pub patience: Duration,
    /// `min_calls`: calls that a step has to see at least, whatever the figures say. Default 100.
    pub min_calls: u64,
    /// `max_error_rate`: calls that may fail by the version's fault, from 0 to 1. Default 0.01 (1%).
    pub max_error_rate: f64,
    /// `max_p99`: how many times as long as the stable version's the 99th percentile of its latency may be. Default 1.2.
    pub max_p99: f64,
    /// `max_disagreement`: answers that may differ from the stable version's, from 0 to 1. Default none: answers are not compared.
    pub max_disagreement: Option<f64>,
    /// `shadow_percent`: calls that are mirrored to compare answers, where `max_disagreement` is given. Default 10.
    pub shadow_percent: f64,
}

/// A share from 0 to 1, written as `1%`, `"1%"` or `0.01`.
struct Share(f64);

impl FromSetting for Share {
    const EXPECTED: &'static str = "a share such as \"1%\" or 0.01";
    fn from_setting(value: &Value) -> Result<Self, String> {
        let percent = value.as_str().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
        let share = percent.map(|percent| percent / 100.0).or_else(|| f64::from_setting(value).ok());
        let share = share.filter(|share| *share > 0.0 && *share < 1.0);
        share.map(Self).ok_or_else(|| format!("must be {} (above 0, below 1), not {value}", Self::EXPECTED))
    }
}

/// A ratio, written as `"1.2x"` or `1.2`.
struct Ratio(f64);

impl FromSetting for Ratio {
    const EXPECTED: &'static str = "a ratio such as \"1.2x\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        let times = value.as_str().and_then(|text| text.trim().strip_suffix('x')?.trim().parse::<f64>().ok());
        let ratio = times.or_else(|| f64::from_setting(value).ok()).filter(|ratio| (1.0..=100.0).contains(ratio));
        ratio.map(Self).ok_or_else(|| format!("must be {} (from 1 to 100), not {value}", Self::EXPECTED))
    }
}

/// A percentage, written as `25` or `"25%"`.
struct Percent(f64);

impl FromSetting for Percent {
    const EXPECTED: &'static str = "a percentage such as 25";
    fn from_setting(value: &Value) -> Result<Self, String> {
        let percent = value.as_str().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
        let percent = percent.or_else(|| f64::from_setting(value).ok()).filter(|percent| *percent > 0.0 && *percent <= 100.0);
        percent.map(Self).ok_or_else(|| format!("must be {} (above 0, at most 100), not {value}", Self::EXPECTED))
    }
}

impl Plan {
    /// Reads a plan from a table with the fields above; every mistake is in one report.
    pub fn parse(table: toml::Table) -> Result<Self, Problems> {
        let missing = Problems::default();
        Section::read_all(table, Self::read)?.ok_or(missing)
    }

    /// Reads the fields; `None` when a required one is missing or wrong, which is reported.
    pub fn read(s: &mut Section) -> Option<Self> {
        let model = s.required::<String>("model").and_then(|text| checked(s, "model", ModelName::parse(&text).map_err(|e| e.to_string())));
        let mut version = |key: &str| {
            let text = s.required::<String>(key)?;
            checked(s, key, ModelVersion::parse(&text).ok_or_else(|| format!("must be a version such as \"3\", not {text:?}")))
        };
        let (from, to) = (version("from"), version("to"));
        s.check(from.is_none() || from != to, "to", "must be another version than `from`");
        let steps = s
            .optional::<Vec<Percent>>("steps")
            .map_or_else(|| vec![1.0, 5.0, 25.0, 50.0, 100.0], |steps| steps.into_iter().map(|percent| percent.0).collect());
        s.check(steps.is_sorted_by(|a, b| a < b), "steps", "must rise, as 1,5,25,50,100 do");
        s.check(steps.last() == Some(&100.0), "steps", "must end with 100, where the version has taken over");
        s.check(steps.len() > 1, "steps", "must have one below 100 too: without calls of the old version there is nothing to compare with");
        s.check(steps.len() <= MOST_STEPS, "steps", format!("must be at most {MOST_STEPS}"));
        let every = s.or("every", Duration::from_secs(120));
        s.check(every >= SHORTEST, "every", "must be at least 5s");
        let patience = s.or("patience", Duration::from_secs(24 * 3600).max(every));
        s.check(patience >= every, "patience", "must be at least as long as `every`");
        let plan = (|| {
            Some(Self {
                model: model?,
                from: from?,
                to: to?,
                steps,
                every,
                patience,
                min_calls: 0,
                max_error_rate: 0.0,
                max_p99: 0.0,
                max_disagreement: None,
                shadow_percent: 0.0,
            })
        })();
        let limits = Limits::read(s);
        plan.map(|plan| limits.of(plan))
    }
}

/// The part of a plan that says how good is good enough.
struct Limits {
    min_calls: u64,
    max_error_rate: f64,
    max_p99: f64,
    max_disagreement: Option<f64>,
    shadow_percent: f64,
}

impl Limits {
    fn read(s: &mut Section) -> Self {
        let max_disagreement = s.optional::<Share>("max_disagreement").map(|share| share.0);
        if max_disagreement.is_none() && s.has("shadow_percent") {
            s.problem("shadow_percent", "needs `max_disagreement`: without it no answers are compared");
        }
        let min_calls = s.or("min_calls", 100);
        s.check(min_calls >= 1, "min_calls", "must be at least 1");
        Self {
            min_calls,
            max_error_rate: s.or("max_error_rate", Share(0.01)).0,
            max_p99: s.or("max_p99", Ratio(1.2)).0,
            max_disagreement,
            shadow_percent: s.or("shadow_percent", Percent(10.0)).0,
        }
    }

    fn of(self, plan: Plan) -> Plan {
        let Self { min_calls, max_error_rate, max_p99, max_disagreement, shadow_percent } = self;
        Plan { min_calls, max_error_rate, max_p99, max_disagreement, shadow_percent, ..plan }
    }
}

fn checked<T>(s: &Section, key: &str, read: Result<T, String>) -> Option<T> {
    read.map_err(|message| s.problem(key, message)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Plan, Problems> {
        Plan::parse(toml::from_str(text).unwrap())
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let plan = parse("model = 'sentiment'\nfrom = '3'\nto = '4'").unwrap();
        assert_eq!(plan.steps, [1.0, 5.0, 25.0, 50.0, 100.0]);
        assert_eq!((plan.max_error_rate, plan.max_p99, plan.max_disagreement), (0.01, 1.2, None));
    }

    #[test]
    fn it_is_read_as_an_operator_writes_it() {
        let text = "model = 'm'\nfrom = '3'\nto = '4'\nsteps = '10,100'\nevery = '30s'\nmax_error_rate = '0.5%'\nmax_p99 = '1.5x'\nmax_disagreement = '2%'";
        let plan = parse(text).unwrap();
        assert_eq!((plan.steps, plan.every), (vec![10.0, 100.0], Duration::from_secs(30)));
        assert_eq!((plan.max_error_rate, plan.max_p99, plan.max_disagreement), (0.005, 1.5, Some(0.02)));
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let text =
            "model = 'a b'\nfrom = '4'\nto = '4'\nsteps = '5,1'\nevery = '1s'\nmax_p99 = '0.5x'\nmax_error_rate = '150%'\ncolour = 'red'";
        let report = parse(text).unwrap_err().to_string();
        for part in [
            "model: a model name has ' '",
            "to: must be another version",
            "steps: must rise",
            "steps: must end with 100",
            "every: must be at least 5s",
            "max_p99: must be a ratio",
            "max_error_rate: must be a share",
            "colour: is not a setting here",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
        assert!(parse("").unwrap_err().to_string().contains("model: is required"));
    }

    #[test]
    fn what_is_stored_comes_back_and_a_field_of_the_future_is_refused() {
        let plan = parse("model = 'm'\nfrom = '3'\nto = '4'\nmax_disagreement = 0.02").unwrap();
        let stored = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
        let newer = stored.replacen('{', "{\"colour\":\"red\",", 1);
        assert!(serde_json::from_str::<Plan>(&newer).unwrap_err().to_string().contains("colour"));
    }
}
