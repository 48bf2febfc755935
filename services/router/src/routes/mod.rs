//! Where calls of a model go when it is not simply to its newest version: shares for several versions, exceptions, other names, and
//! models that stand in.
//!
//! [`read`] makes routes of a file and refuses a wrong one whole; [`share`] draws by weight; [`in_use`] keeps them up to date. What is decided here is a
//! wish: the table knows who is there.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod in_use;
pub mod read;
pub mod shadow;
mod share;
mod tangle;

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use torchmesh_api::{
    headers::{X_TORCHMESH_SESSION, X_TORCHMESH_TENANT},
    ids::{ModelName, ModelVersion},
};
use torchmesh_relay::balance::Policy;

use self::shadow::Shadow;
use crate::{cache::Caching, prompt::ByPrefix};

/// A model, and the version of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The model.
    pub model: ModelName,
    /// The version; none is what the model's own route says, or the newest that is ready.
    pub version: Option<ModelVersion>,
}

/// What must stay the same for a call to go to the same version again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sticky {
    /// Nothing: each call draws anew.
    #[default]
    Request,
    /// The tenant.
    Tenant,
    /// The session, `x-torchmesh-session`.
    Session,
}

/// What sets a call apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It carries this header with this value.
    Header(HeaderName, HeaderValue),
    /// It is this tenant's.
    Tenant(HeaderValue),
}

impl Condition {
    fn holds(&self, headers: &HeaderMap) -> bool {
        let (name, wanted) = match self {
            Self::Header(name, value) => (name, value),
            Self::Tenant(tenant) => (&X_TORCHMESH_TENANT, tenant),
        };
        headers.get(name).is_some_and(|value| value == wanted)
    }
}

/// Where the calls of one name go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Route {
    /// Exceptions: the first that fits decides.
    pub exceptions: Vec<(Condition, Destination)>,
    /// Destinations and their shares; all together are 100.
    pub shares: Vec<(Destination, f64)>,
    /// What a share is drawn by.
    pub sticky: Sticky,
    /// The models whose own routes are followed when no destination is there, in this order.
    pub fallback: Vec<ModelName>,
    /// Who gets some of the calls too, unbeknown to the callers.
    pub shadow: Option<Shadow>,
    /// Whether and how answers are kept, those to callers who name a version too.
    pub caching: Option<Caching>,
    /// Whether an answer that a worker breaks off is gone on with by another one.
    pub resume: bool,
    /// Whether a call goes to the worker that has read the beginning of its prompt, those of callers who name a version too.
    pub by_prefix: Option<ByPrefix>,
    /// How a worker is chosen, where it is not as the router's settings say; for those calls too.
    pub policy: Option<Policy>,
}

/// Every route, by the name that callers use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routes(HashMap<ModelName, Route>);

impl Routes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The route of a name.
    pub fn get(&self, name: &ModelName) -> Option<&Route> {
        self.0.get(name)
    }

    /// The name, if it has a route.
    pub fn routed(&self, name: &str) -> Option<&ModelName> {
        self.0.get_key_value(name).map(|(name, _)| name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Offers `takes` the destinations of a call in the order in which they should serve it, until one is taken. A name without a route is its own
    /// destination. `draw` is a random number, for routes where nothing sticks.
    pub fn find<T>(
        &self,
        name: &ModelName,
        headers: &HeaderMap,
        draw: u64,
        takes: &mut impl FnMut(&Destination) -> Option<T>,
    ) -> Option<T> {
        let Some(route) = self.0.get(name) else { return takes(&Destination { model: name.clone(), version: None }) };
        for destination in route.destinations(name, headers, draw) {
            if let Some(found) = self.follow(name, destination, headers, draw, takes) {
                return Some(found);
            }
        }
        route.fallback.iter().find_map(|model| self.find(model, headers, draw, takes))
    }

    /// A destination without a version that has a route of its own is where that route goes; a model's own name among its destinations is the model itself.
    fn follow<T>(
        &self,
        from: &ModelName,
        to: &Destination,
        headers: &HeaderMap,
        draw: u64,
        takes: &mut impl FnMut(&Destination) -> Option<T>,
    ) -> Option<T> {
        if to.version.is_none() && to.model != *from { self.find(&to.model, headers, draw, takes) } else { takes(to) }
    }
}

impl Route {
    /// The destinations of one call, the one that should serve it first.
    fn destinations(&self, name: &ModelName, headers: &HeaderMap, draw: u64) -> Vec<&Destination> {
        if let Some((_, to)) = self.exceptions.iter().find(|(condition, _)| condition.holds(headers)) {
            return vec![to];
        }
        let sticks = match self.sticky {
            Sticky::Request => None,
            Sticky::Tenant => headers.get(X_TORCHMESH_TENANT),
            Sticky::Session => headers.get(X_TORCHMESH_SESSION),
        };
        let key = sticks.map_or(draw, |value| share::key(name, value.as_bytes()));
        share::ranked(&self.shares, key)
    }
}

#[cfg(test)]
mod tests {
    use super::{read::parse, *};

    const FILE: &str = r#"
        [[route]]
        model = "sentiment"
        sticky = "tenant"
        to = [{ version = "3", weight = 90 }, { version = "4", weight = 10 }]
        except = [
            { header = "x-canary", value = "yes", version = "4" },
            { tenant = "careful", version = "3" },
        ]
        fallback = ["sentiment-small"]

        [[route]]
        model = "default"
        to = [{ model = "sentiment" }]
    "#;

    fn name(text: &str) -> ModelName {
        ModelName::parse(text).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    /// Every destination of a call, in order, as text.
    fn order(model: &str, headers: &HeaderMap, draw: u64) -> Vec<String> {
        let mut seen = Vec::new();
        parse(FILE).unwrap().find(&name(model), headers, draw, &mut |to| {
            seen.push(to.version.map_or_else(|| to.model.to_string(), |version| format!("{}@{version}", to.model)));
            None::<()>
        });
        seen
    }

    #[test]
    fn an_exception_decides_before_the_shares() {
        for draw in 0..50 {
            assert_eq!(order("sentiment", &headers(&[("x-canary", "yes")]), draw), ["sentiment@4", "sentiment-small"]);
            assert_eq!(order("sentiment", &headers(&[("x-torchmesh-tenant", "careful")]), draw), ["sentiment@3", "sentiment-small"]);
        }
    }

    #[test]
    fn when_the_version_that_was_drawn_is_not_there_the_others_serve_and_then_the_fallback() {
        let seen = order("sentiment", &HeaderMap::new(), 7);
        assert_eq!(seen.len(), 3);
        assert!(seen[..2].contains(&"sentiment@3".to_owned()) && seen[..2].contains(&"sentiment@4".to_owned()));
        assert_eq!(seen[2], "sentiment-small");
    }

    #[test]
    fn a_tenant_stays_where_it_is() {
        for tenant in ["acme", "globex", "initech"] {
            let headers = headers(&[("x-torchmesh-tenant", tenant)]);
            let first = order("sentiment", &headers, 0);
            assert!((1..100).all(|draw| order("sentiment", &headers, draw) == first));
        }
    }

    #[test]
    fn another_name_follows_the_route_of_the_model_it_stands_for() {
        assert_eq!(order("default", &headers(&[("x-canary", "yes")]), 1), ["sentiment@4", "sentiment-small"]);
    }

    #[test]
    fn a_model_without_a_route_is_itself() {
        assert_eq!(order("other", &HeaderMap::new(), 1), ["other"]);
    }
}
