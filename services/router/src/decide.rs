//! Which version a call goes to: what the routes wish for, as far as it is there.

use std::sync::Arc;

use http::HeaderValue;
use torchmesh_api::{
    error::ApiError,
    ids::{ModelName, ModelVersion},
    peek::Routing,
};
use torchmesh_relay::balance::Policy;

use crate::{
    cache::Caching,
    prompt::ByPrefix,
    routes::{Brought, Destination, FallbackWhen, Routes, shadow::Shadow},
    table::{Table, Target},
};

/// Where a call goes.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The version, and the endpoints that serve it.
    pub target: Target,
    /// The name that the caller used, where it is not the model's own.
    pub asked_for: Option<HeaderValue>,
    /// The version that gets a copy of the call, and how its answer is compared.
    pub shadow: Option<(Target, Shadow)>,
    /// Whether and how the answer is kept.
    pub caching: Option<Caching>,
    /// Whether another worker goes on with it when one breaks it off.
    pub resume: bool,
    /// Whether it goes to whoever has read the beginning of its prompt.
    pub by_prefix: Option<ByPrefix>,
    /// How a worker is chosen, where the route has a policy of its own.
    pub policy: Option<Policy>,
}

/// Decides for one call. A version that the caller names is what it gets; only without one is there something to route. Where a route passes models over that fail, and all that
/// are there do, it is as if it did not.
///
/// Errors: those of [`Table::route`]; of a route none of whose destinations is there, that of the first.
pub fn decide(routes: &Routes, table: &Table, asked: Routing<'_>, brought: Brought<'_>) -> Result<Decision, ApiError> {
    let routed = routes.routed(asked.name);
    let route = routed.and_then(|name| routes.get(name));
    let (caching, resume, by_prefix, policy) =
        route.map_or((None, false, None, None), |route| (route.caching, route.resume, route.by_prefix, route.policy));
    let own = |target: &Target| Decision { target: target.clone(), asked_for: None, shadow: None, caching, resume, by_prefix, policy };
    let Some(name) = routed.filter(|_| asked.version.is_empty()) else {
        return table.route(asked.name, asked.version).map(own);
    };
    let (mut first, mut passed_over): (Option<Destination>, bool) = (None, false);
    let ready = |to: &Destination| table.ready(to.model.as_str(), to.version);
    let mut found = routes.find(name, brought, |to, when| {
        first.get_or_insert_with(|| to.clone());
        let target = ready(to)?;
        let fails = when == FallbackWhen::Failing && target.group.is_failing();
        passed_over |= fails;
        (!fails).then_some(target)
    });
    if found.is_none() && passed_over {
        found = routes.find(name, brought, |to, _| ready(to));
    }
    match (found, first) {
        (Some(target), _) => {
            // A checked name has nothing that a header may not have.
            let asked_for = (target.model != *name).then(|| HeaderValue::try_from(name.as_str()).ok()).flatten();
            let shadow = routes.get(name).and_then(|route| route.shadow.as_ref()).filter(|shadow| shadow.takes(brought.draw));
            let shadow = shadow.and_then(|shadow| copied(shadow, table, target));
            Ok(Decision { target: target.clone(), asked_for, shadow, caching, resume, by_prefix, policy })
        }
        (None, to) => {
            let (model, version) = to.map_or((name.clone(), None), |to| (to.model, to.version));
            let mut error = table.missing(model.as_str(), version);
            error.message = format!("{}; the route of {:?} leads there", error.message, name.as_str());
            Err(error)
        }
    }
}

/// The model and the version that a call would go to, were it there; `None` where it names a version that is none.
pub fn wanted(routes: &Routes, asked: Routing<'_>, brought: Brought<'_>) -> Option<(ModelName, Option<ModelVersion>)> {
    let name = ModelName::parse(asked.name).ok()?;
    if !asked.version.is_empty() {
        return Some((name, Some(ModelVersion::parse(asked.version)?)));
    }
    routes.find(&name, brought, |to, _| Some((to.model.clone(), to.version)))
}

/// Where a copy goes, if that version is there and is not the one that answers.
fn copied(shadow: &Shadow, table: &Table, answers: &Target) -> Option<(Target, Shadow)> {
    let to = table.ready(shadow.to.model.as_str(), shadow.to.version)?;
    let another = !Arc::ptr_eq(&to.watched, &answers.watched);
    another.then(|| (to.clone(), shadow.clone()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::HeaderMap;
    use torchmesh_api::{error::ErrorKind, ids::InstanceId};
    use torchmesh_relay::{Endpoint, Groups, RelayMetrics, RelaySettings};

    use super::*;
    use crate::{
        routes::read::parse,
        table::{Listed, TableBuilder},
        watching::Watching,
    };

    /// A table in which these versions are ready.
    fn table(ready: &[(&str, u64)]) -> Table {
        let endpoint = Arc::new(Endpoint::new(InstanceId::parse("w").unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)), 1));
        let listed = ready.iter().map(|&(model, version)| Listed {
            model: ModelName::parse(model).unwrap(),
            version: ModelVersion::parse(&version.to_string()),
            ready: true,
            reason: String::new(),
            load: 0,
        });
        let mut builder = TableBuilder::new(Groups::new(RelaySettings::default(), RelayMetrics::default()), Arc::new(Watching::new(1)));
        builder.set(&endpoint, &Arc::new(listed.collect()));
        builder.table()
    }

    fn brought(headers: &HeaderMap, draw: u64) -> Brought<'_> {
        Brought { headers, content: None, draw }
    }

    fn decided(routes: &str, ready: &[(&str, u64)], name: &str, version: &str) -> Result<(String, Option<HeaderValue>), ApiError> {
        let routes = parse(routes).unwrap();
        let decision = decide(&routes, &table(ready), Routing { name, version }, brought(&HeaderMap::new(), 1))?;
        Ok((format!("{}@{}", decision.target.model, decision.target.version.to_str().unwrap()), decision.asked_for))
    }

    #[test]
    fn without_a_route_the_newest_version_answers_and_with_one_that_of_the_route() {
        let ready = [("m", 1), ("m", 2)];
        assert_eq!(decided("", &ready, "m", "").unwrap(), ("m@2".into(), None));
        let route = "[[route]]\nmodel = 'm'\nto = [{ version = '1' }]";
        assert_eq!(decided(route, &ready, "m", "").unwrap(), ("m@1".into(), None));
        assert_eq!(decided(route, &ready, "m", "2").unwrap(), ("m@2".into(), None));
    }

    #[test]
    fn another_name_is_told_to_the_worker() {
        let route = "[[route]]\nmodel = 'small'\nto = [{ model = 'm', version = '1' }]";
        assert_eq!(decided(route, &[("m", 1)], "small", "").unwrap(), ("m@1".into(), Some(HeaderValue::from_static("small"))));
    }

    #[test]
    fn the_fallback_answers_when_no_version_of_the_route_is_there() {
        let route = "[[route]]\nmodel = 'm'\nto = [{ version = '7' }]\nfallback = ['other']";
        assert_eq!(decided(route, &[("other", 3)], "m", "").unwrap().0, "other@3");
    }

    #[test]
    fn some_calls_are_copied_to_the_shadow_and_none_to_the_version_that_answers() {
        let route = |version: &str| {
            format!("[[route]]\nmodel = 'm'\nto = [{{ version = '1' }}]\nshadow = {{ version = '{version}', percent = 25 }}")
        };
        let copies = |route: &str, asked: &str| {
            let (routes, table) = (parse(route).unwrap(), table(&[("m", 1), ("m", 2)]));
            let copied = |draw| {
                let decision = decide(&routes, &table, Routing { name: "m", version: asked }, brought(&HeaderMap::new(), draw)).unwrap();
                decision.shadow.is_some_and(|(target, _)| target.version == "2")
            };
            (0..4000).filter(|draw| copied(*draw)).count()
        };
        let copied = copies(&route("2"), "");
        assert!((850..1150).contains(&copied), "{copied} of 4000");
        assert_eq!((copies(&route("1"), ""), copies(&route("9"), ""), copies(&route("2"), "1")), (0, 0, 0));
    }

    #[test]
    fn what_a_call_would_go_to_is_told_by_its_route_or_by_itself() {
        let routes = parse("[[route]]\nmodel = 'small'\nto = [{ model = 'm', version = '2' }]\nfallback = ['other']").unwrap();
        let wanted = |name, version| wanted(&routes, Routing { name, version }, brought(&HeaderMap::new(), 1));
        let to = |model: &str, version: Option<&str>| Some((ModelName::parse(model).unwrap(), version.and_then(ModelVersion::parse)));
        assert_eq!(wanted("small", ""), to("m", Some("2")));
        assert_eq!((wanted("m", ""), wanted("m", "3")), (to("m", None), to("m", Some("3"))));
        assert_eq!((wanted("m", "three"), wanted("", "")), (None, None));
    }

    #[test]
    fn the_policy_of_the_name_that_was_called_goes_with_the_call_and_a_version_that_is_named_changes_nothing() {
        let text = "[[route]]\nmodel = 'm'\nto = [{ version = '1' }]\nbalance = 'round_robin'\n\
                    [[route]]\nmodel = 'alias'\nto = [{ model = 'm' }]\nbalance = 'reported'\n\
                    [[route]]\nmodel = 'plain'\nto = [{ model = 'm' }]";
        let (routes, table) = (parse(text).unwrap(), table(&[("m", 1), ("m", 2)]));
        let policy = |name, version| decide(&routes, &table, Routing { name, version }, brought(&HeaderMap::new(), 1)).unwrap().policy;
        assert_eq!([policy("m", ""), policy("m", "2")], [Some(Policy::RoundRobin); 2]);
        assert_eq!((policy("alias", ""), policy("plain", "")), (Some(Policy::Reported), None));
    }

    #[test]
    fn a_route_that_leads_nowhere_says_so() {
        let route = "[[route]]\nmodel = 'm'\nto = [{ version = '7' }]";
        let error = decided(route, &[("m", 1)], "m", "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.message.contains("no version 7; it has 1; the route of \"m\" leads there"), "{}", error.message);
        let unknown = "[[route]]\nmodel = 'm'\nto = [{ model = 'nobody' }]\nfallback = ['nobody-else']";
        let error = decided(unknown, &[("m", 1)], "m", "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.message.contains("nobody") && error.message.contains("the route of \"m\" leads there"), "{}", error.message);
    }
}
