//! `[[redaction]]`: which models are not sent personal data.

use torchmesh_api::access::ModelGrants;
use torchmesh_runtime::config::{FromSetting, Section};

use super::{
    kind::{Kind, Kinds},
    names::NamesRule,
};

/// What happens to what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A placeholder stands in its place.
    Redact,
    /// The call is refused.
    Refuse,
    /// Nothing is looked for.
    Off,
}

impl FromSetting for Action {
    const EXPECTED: &'static str = "\"redact\", \"refuse\" or \"off\"";

    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        match value.as_str() {
            Some("redact") => Ok(Self::Redact),
            Some("refuse") => Ok(Self::Refuse),
            Some("off") => Ok(Self::Off),
            _ => Err(format!("must be {}, not {value}", Self::EXPECTED)),
        }
    }
}

/// One `[[redaction]]`. Of several, the first that has the model counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `models`: the names that are called, or patterns of them. Default every model.
    pub models: ModelGrants,
    /// `kinds`: what is looked for. Default all but `ip`.
    pub kinds: Kinds,
    /// `action`. Default `redact`.
    pub action: Action,
    /// `names`: by which model people's names are found. Default none: they are not looked for.
    pub names: Option<NamesRule>,
}

impl Rule {
    /// Reads every `[[redaction]]`.
    pub fn read_all(s: &mut Section) -> Vec<Self> {
        s.list("redaction", Self::read).into_iter().flatten().collect()
    }

    fn read(s: &mut Section) -> Option<Self> {
        let models = s.optional::<Vec<String>>("models");
        let models = models.map_or(Ok(ModelGrants::All), |list| ModelGrants::parse(list.iter().map(String::as_str)));
        let models = models.map_err(|error| s.problem("models", error.to_string())).ok();
        s.check(
            models.as_ref().is_none_or(|models| !models.patterns().is_empty()),
            "models",
            "must name a model; leave it out for every model",
        );
        let kinds = s.optional::<Vec<Kind>>("kinds").map_or_else(Kinds::usual, Kinds::from_iter);
        s.check(!kinds.is_empty(), "kinds", "must name a kind; set action to \"off\" to look for none");
        let action = s.or("action", Action::Redact);
        let names = if s.has("names") { s.section("names", NamesRule::read) } else { None };
        Some(Self { models: models?, kinds, action, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Rule>, String> {
        Section::read_all(text.parse().unwrap(), Rule::read_all).map_err(|problems| problems.to_string())
    }

    #[test]
    fn without_any_nothing_is_looked_for_and_an_empty_one_is_for_all() {
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(
            read("[[redaction]]"),
            Ok(vec![Rule { models: ModelGrants::All, kinds: Kinds::usual(), action: Action::Redact, names: None }])
        );
        let rules =
            read("[[redaction]]\nmodels = ['a*']\nkinds = ['ip', 'email']\naction = 'refuse'\n[[redaction]]\naction = 'off'").unwrap();
        assert_eq!((rules[0].action, rules[0].kinds.has(Kind::Ip), rules[0].kinds.has(Kind::Card)), (Action::Refuse, true, false));
        assert!(rules[0].models.allow("ab") && !rules[0].models.allow("b") && rules[1].action == Action::Off);
    }

    #[test]
    fn names_are_looked_for_where_it_is_said_by_which_model() {
        let rules = read("[[redaction]]\nnames = { model = 'ner' }\n[[redaction]]").unwrap();
        assert!(rules[0].names.is_some() && rules[1].names.is_none());
        let told = read("[[redaction]]\nnames = { labels = [], min_score = 1.5 }\n[[redaction]]\nnames = { model = 'a b' }").unwrap_err();
        for part in
            ["names.model: ", "names.labels: must have", "names.min_score: must be from 0", "redaction[1].names.model: must be a model"]
        {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let told =
            read("[[redaction]]\nmodels = ['a b']\nkinds = ['name']\naction = 'drop'\n[[redaction]]\nmodels = []\nkinds = []\nmodel = 'a'")
                .unwrap_err();
        for part in [
            "redaction[0].models: ",
            "redaction[0].kinds: must be \"email\"",
            "redaction[0].action: must be \"redact\"",
            "redaction[1].models: must name a model",
            "redaction[1].kinds: must name a kind",
            "redaction[1].model: is not a setting here",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
