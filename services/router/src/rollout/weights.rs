//! Writes a rollout's shares into the text of the routes, and leaves the rest as somebody wrote it, comments too.

use thiserror::Error;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};
use torchmesh_api::ids::ModelVersion;

use super::{plan::Plan, stage::Wanted};

/// Why the routes cannot say what a rollout needs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// It is no TOML, or `route` is no list of tables.
    #[error("the routes cannot be read: {0}")]
    Unreadable(String),
    /// The model's route has a share that is neither version's.
    #[error("the route of {model} sends a share of the calls to {to}; give all of it to version {from} before a rollout")]
    OtherShare {
        /// Whose route.
        model: String,
        /// Where the share goes.
        to: String,
        /// The version that a rollout begins from.
        from: ModelVersion,
    },
    /// The model's route has a shadow that the rollout did not put there.
    #[error("the route of {model} has a shadow, and a rollout with `max_disagreement` needs the place; take it out first")]
    OtherShadow {
        /// Whose route.
        model: String,
    },
}

/// The routes with the rollout's shares: `from` has what `to` does not. A model without a route gets one. What the model's route has besides (`sticky`,
/// `except`, `fallback`) stays.
pub fn set(text: &str, plan: &Plan, wanted: Wanted) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| EditError::Unreadable(error.to_string()))?;
    let routes = routes(&mut document)?;
    let named = |route: &Table| route.get("model").and_then(Item::as_str) == Some(plan.model.as_str());
    if !routes.iter().any(named) {
        let mut route = Table::new();
        route.insert("model", value(plan.model.as_str()));
        routes.push(route);
    }
    if let Some(route) = routes.iter_mut().find(|route| named(route)) {
        set_shares(route, plan, wanted.percent)?;
        set_shadow(route, plan, wanted.shadow)?;
    }
    Ok(document.to_string())
}

/// The routes without the rollout: the version that it began from has all calls. The route stays, since without one the newest version would answer.
pub fn take_back(text: &str, plan: &Plan) -> Result<String, EditError> {
    set(text, plan, Wanted { percent: 0.0, shadow: None })
}

/// The list of routes; one written in a single line becomes one of sections, which is the same to a reader.
fn routes(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, EditError> {
    let item = document.entry("route").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if !item.is_array_of_tables() {
        let none = item.as_array().is_some_and(Array::is_empty);
        let sections = if none { Ok(ArrayOfTables::new()) } else { std::mem::take(item).into_array_of_tables() };
        *item = Item::ArrayOfTables(sections.map_err(|_| no_list())?);
    }
    item.as_array_of_tables_mut().ok_or_else(no_list)
}

fn no_list() -> EditError {
    EditError::Unreadable("route: must be an array of tables ([[route]])".to_owned())
}

fn set_shares(route: &mut Table, plan: &Plan, percent: f64) -> Result<(), EditError> {
    let old = std::mem::take(route.entry("to").or_insert_with(|| value(Array::new())));
    let mut shares = Vec::new();
    for share in destinations(&old) {
        let (own, weight) = (is_own(&share, plan), share.get("weight").and_then(number).unwrap_or(100.0));
        let version = share.get("version").and_then(Value::as_str).map(str::to_owned);
        let one_of_both =
            own && version.as_deref().is_some_and(|text| [plan.from, plan.to].iter().any(|version| version.to_string() == text));
        if one_of_both {
            continue;
        }
        if weight != 0.0 {
            let to = version.map_or_else(|| "the newest version".to_owned(), |version| format!("version {version}"));
            return Err(EditError::OtherShare { model: plan.model.to_string(), to, from: plan.from });
        }
        shares.push(share);
    }
    let both = [(plan.from, 100.0 - percent), (plan.to, percent)].map(|(version, weight)| {
        let mut share = InlineTable::new();
        share.insert("version", version.to_string().into());
        share.insert("weight", whole_or_not(weight));
        share
    });
    route.insert("to", value(both.into_iter().chain(shares).collect::<Array>()));
    Ok(())
}

/// The destinations, whether they are written in one line or as sections.
fn destinations(item: &Item) -> Vec<InlineTable> {
    match item {
        Item::Value(Value::Array(array)) => array.iter().filter_map(Value::as_inline_table).cloned().collect(),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table.clone().into_inline_table()).collect(),
        _ => Vec::new(),
    }
}

fn is_own(share: &InlineTable, plan: &Plan) -> bool {
    share.get("model").is_none_or(|model| model.as_str() == Some(plan.model.as_str()))
}

fn set_shadow(route: &mut Table, plan: &Plan, percent: Option<f64>) -> Result<(), EditError> {
    let to = plan.to.to_string();
    if let Some(shadow) = route.get_mut("shadow").and_then(Item::as_table_like_mut) {
        if shadow.get("version").and_then(Item::as_str) != Some(to.as_str()) {
            return if percent.is_some() { Err(EditError::OtherShadow { model: plan.model.to_string() }) } else { Ok(()) };
        }
        match percent {
            // Whatever else it says (how answers are compared) stays.
            Some(percent) => drop(shadow.insert("percent", Item::Value(whole_or_not(percent)))),
            None if plan.max_disagreement.is_some() => drop(route.remove("shadow")),
            None => {}
        }
    } else if let Some(percent) = percent {
        let mut shadow = InlineTable::new();
        shadow.insert("version", to.into());
        shadow.insert("percent", whole_or_not(percent));
        route.insert("shadow", value(shadow));
    }
    Ok(())
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn whole_or_not(number: f64) -> Value {
    if number.fract() == 0.0 { Value::from(number as i64) } else { Value::from(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::ids::ModelName;

    use super::*;
    use crate::routes::read::parse;

    fn plan(model: &str) -> Plan {
        let text = format!("model = '{model}'\nfrom = '3'\nto = '4'\nmax_disagreement = 0.02");
        Plan::parse(toml::from_str(&text).unwrap()).unwrap()
    }

    fn wanted(percent: f64, shadow: Option<f64>) -> Wanted {
        Wanted { percent, shadow }
    }

    const FILE: &str = "# ours, since May\n[[route]]\nmodel = \"other\" # not this one\nto = [{ version = \"1\" }]\n\n[[route]]\n# this one\nmodel = \"m\"\nsticky = \"tenant\"\nto = [{ version = \"3\" }]\nfallback = [\"other\"]\n";

    #[test]
    fn only_the_shares_of_the_models_route_change() {
        let edited = set(FILE, &plan("m"), wanted(5.0, None)).unwrap();
        let expected = FILE.replace(
            "sticky = \"tenant\"\nto = [{ version = \"3\" }]",
            "sticky = \"tenant\"\nto = [{ version = \"3\", weight = 95 }, { version = \"4\", weight = 5 }]",
        );
        assert_eq!(edited, expected);
        let back = take_back(&edited, &plan("m")).unwrap();
        assert!(back.contains("to = [{ version = \"3\", weight = 100 }, { version = \"4\", weight = 0 }]"), "{back}");
    }

    #[test]
    fn a_model_without_a_route_gets_one() {
        let edited = set("# none yet\n", &plan("m"), wanted(0.5, None)).unwrap();
        assert!(edited.contains("# none yet") && edited.contains("weight = 99.5"), "{edited}");
        assert_eq!(parse(&edited).unwrap().len(), 1);
    }

    #[test]
    fn a_share_that_is_neither_versions_is_not_taken_away() {
        for (to, told) in
            [("{ version = \"2\" }", "version 2"), ("{ }", "the newest version"), ("{ model = \"x\", version = \"4\" }", "version 4")]
        {
            let error = set(&FILE.replace("{ version = \"3\" }", to), &plan("m"), wanted(5.0, None)).unwrap_err();
            assert!(matches!(&error, EditError::OtherShare { to, .. } if to == told), "{error}");
        }
    }

    #[test]
    fn the_shadow_comes_and_goes_and_somebody_elses_is_left_alone() {
        let edited = set(FILE, &plan("m"), wanted(0.0, Some(10.0))).unwrap();
        assert!(edited.contains("shadow = { version = \"4\", percent = 10 }"), "{edited}");
        assert!(!take_back(&edited, &plan("m")).unwrap().contains("shadow"));
        let other = edited.replace("shadow = { version = \"4\"", "shadow = { version = \"9\"");
        assert!(matches!(set(&other, &plan("m"), wanted(5.0, Some(10.0))), Err(EditError::OtherShadow { .. })));
        assert!(take_back(&other, &plan("m")).unwrap().contains("shadow"));
    }

    #[test]
    fn a_text_that_is_no_toml_is_said_to_be_none() {
        assert!(matches!(set("[[route]", &plan("m"), wanted(5.0, None)), Err(EditError::Unreadable(_))));
        assert!(matches!(set("route = 5", &plan("m"), wanted(5.0, None)), Err(EditError::Unreadable(_))));
    }

    fn routes_with(names: &[String], inline: bool) -> String {
        let one = |name: &String| {
            if inline {
                return format!("{{ model = \"{name}\", to = [{{ version = \"3\" }}] }}");
            }
            format!("# {name}\n[[route]]\nmodel = \"{name}\"\nsticky = \"session\"\nto = [{{ version = \"3\" }}]\n")
        };
        let all: Vec<_> = names.iter().map(one).collect();
        if inline { format!("route = [{}]\n", all.join(", ")) } else { all.concat() }
    }

    proptest! {
        #[test]
        fn the_result_is_a_good_text_in_which_only_one_route_differs(
            names in proptest::collection::btree_set("[a-z]{1,8}", 0..6), model in "[a-z]{1,8}", percent in 0_u32..=1000, shadow: bool, inline: bool,
        ) {
            let names: Vec<_> = names.into_iter().collect();
            let (text, percent) = (routes_with(&names, inline), f64::from(percent) / 10.0);
            let edited = set(&text, &plan(&model), wanted(percent, shadow.then_some(10.0))).unwrap();
            let (before, after) = (parse(&text).unwrap(), parse(&edited).unwrap());
            for name in names.iter().filter(|name| **name != model) {
                let name = ModelName::parse(name).unwrap();
                prop_assert_eq!(before.get(&name), after.get(&name));
            }
            let name = ModelName::parse(&model).unwrap();
            let weights: Vec<_> = after.get(&name).unwrap().shares.iter().map(|(_, weight)| *weight).collect();
            prop_assert!((weights[0] - (100.0 - percent)).abs() < 1e-9 && (weights[1] - percent).abs() < 1e-9);
            prop_assert_eq!(after.len(), before.len() + usize::from(before.get(&name).is_none()));
            // Once more is no change.
            prop_assert_eq!(set(&edited, &plan(&model), wanted(percent, shadow.then_some(10.0))).unwrap(), edited);
        }
    }
}
