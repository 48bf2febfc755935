//! Which version a call goes to: what the routes wish for, as far as it is there.

use http::{HeaderMap, HeaderValue};
use torchmesh_api::{error::ApiError, peek::Routing};

use crate::{
    routes::{Destination, Routes},
    table::{Table, Target},
};

/// Where a call goes.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The version, and the endpoints that serve it.
    pub target: Target,
    /// The name that the caller used, where it is not the model's own.
    pub asked_for: Option<HeaderValue>,
}

/// Decides for one call. A version that the caller names is what it gets; only without one is there something to route. `draw` is a random number.
///
/// Errors: those of [`Table::route`]; of a route none of whose destinations is there, that of the first.
pub fn decide(routes: &Routes, table: &Table, asked: Routing<'_>, headers: &HeaderMap, draw: u64) -> Result<Decision, ApiError> {
    let own = |target: &Target| Decision { target: target.clone(), asked_for: None };
    let Some(name) = routes.routed(asked.name).filter(|_| asked.version.is_empty()) else {
        return table.route(asked.name, asked.version).map(own);
    };
    let mut first: Option<Destination> = None;
    let found = routes.find(name, headers, draw, &mut |to| {
        first.get_or_insert_with(|| to.clone());
        table.ready(to.model.as_str(), to.version)
    });
    match (found, first) {
        (Some(target), _) if target.model == *name => Ok(own(target)),
        // A checked name has nothing that a header may not have.
        (Some(target), _) => Ok(Decision { target: target.clone(), asked_for: HeaderValue::try_from(name.as_str()).ok() }),
        (None, to) => {
            let (model, version) = to.map_or((name.clone(), None), |to| (to.model, to.version));
            let mut error = table.missing(model.as_str(), version);
            error.message = format!("{}; the route of {:?} leads there", error.message, name.as_str());
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use torchmesh_api::{
        error::ErrorKind,
        ids::{InstanceId, ModelName, ModelVersion},
    };
    use torchmesh_relay::{Endpoint, Groups, RelayMetrics, RelaySettings};

    use super::*;
    use crate::{
        routes::read::parse,
        table::{Listed, TableBuilder},
    };

    /// A table in which these versions are ready.
    fn table(ready: &[(&str, u64)]) -> Table {
        let endpoint = Arc::new(Endpoint::new(InstanceId::parse("w").unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)), 1));
        let listed = ready.iter().map(|&(model, version)| Listed {
            model: ModelName::parse(model).unwrap(),
            version: ModelVersion::parse(&version.to_string()),
            ready: true,
            reason: String::new(),
        });
        let mut builder = TableBuilder::new(Groups::new(RelaySettings::default(), RelayMetrics::default()));
        builder.set(&endpoint, &Arc::new(listed.collect()));
        builder.table()
    }

    fn decided(routes: &str, ready: &[(&str, u64)], name: &str, version: &str) -> Result<(String, Option<HeaderValue>), ApiError> {
        let routes = parse(routes).unwrap();
        let decision = decide(&routes, &table(ready), Routing { name, version }, &HeaderMap::new(), 1)?;
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
    fn a_route_that_leads_nowhere_says_so() {
        let route = "[[route]]\nmodel = 'm'\nto = [{ version = '7' }]";
        let error = decided(route, &[("m", 1)], "m", "").unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.message.contains("no version 7; it has 1; the route of \"m\" leads there"), "{}", error.message);
    }
}
