//! Where calls of a model go when it is not simply to its newest version: shares for several versions, exceptions, other names, and
//! models that stand in.
//!
//! [`read`] makes routes of a file and refuses a wrong one whole; [`search`] follows them; [`share`] draws by weight; [`in_use`] keeps them up to date. What is decided here
//! is a wish: the table knows who is there.

mod except;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod in_use;
pub mod read;
mod search;
pub mod shadow;
mod share;
mod tangle;

use std::collections::{HashMap, HashSet};

use http::{HeaderMap, HeaderName};
use torchmesh_api::{
    headers::{X_TORCHMESH_SESSION, X_TORCHMESH_TENANT},
    ids::{ModelName, ModelVersion},
};
use torchmesh_relay::balance::Policy;

pub use self::except::{Condition, Exception};
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sticky {
    /// Nothing: each call draws anew.
    #[default]
    Request,
    /// The tenant.
    Tenant,
    /// The session, `x-torchmesh-session`.
    Session,
    /// The value of this header.
    Header(HeaderName),
    /// What is asked.
    Content,
}

/// When a route's fallback answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FallbackWhen {
    /// When no destination is ready anywhere.
    #[default]
    Absent,
    /// When each is ready nowhere, or fails on all workers; while there is one that is neither.
    Failing,
}

/// What a call brings to the choice.
#[derive(Debug, Clone, Copy)]
pub struct Brought<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What stands for its content, where [`Routes::goes_by_content`].
    pub content: Option<u64>,
    /// A random number, for routes where nothing sticks.
    pub draw: u64,
}

/// Where the calls of one name go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Route {
    /// Exceptions: the first that fits decides.
    pub exceptions: Vec<Exception>,
    /// Destinations and their shares; all together are 100.
    pub shares: Vec<(Destination, f64)>,
    /// What a share is drawn by.
    pub sticky: Sticky,
    /// The models whose own routes are followed when no destination can answer, in this order.
    pub fallback: Vec<ModelName>,
    /// What a destination that cannot answer is.
    pub fallback_when: FallbackWhen,
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
pub struct Routes {
    by_name: HashMap<ModelName, Route>,
    /// The names whose calls may come to a route where the content decides.
    by_content: HashSet<ModelName>,
}

impl Routes {
    fn new(by_name: HashMap<ModelName, Route>) -> Self {
        let by_content = tangle::leading_to(&by_name, |route| route.sticky == Sticky::Content);
        Self { by_name, by_content }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The route of a name.
    pub fn get(&self, name: &ModelName) -> Option<&Route> {
        self.by_name.get(name)
    }

    /// The name, if it has a route.
    pub fn routed(&self, name: &str) -> Option<&ModelName> {
        self.by_name.get_key_value(name).map(|(name, _)| name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether the content decides somewhere.
    pub fn go_by_content(&self) -> bool {
        !self.by_content.is_empty()
    }

    /// Whether the content may decide where calls of this name go.
    pub fn goes_by_content(&self, name: &str) -> bool {
        self.by_content.contains(name)
    }

    /// Offers `takes` the destinations of a call in the order in which they should serve it, each with what its route takes for one that cannot, until one is taken. A name
    /// without a route is its own destination. Each route is followed once, however many ways lead there.
    pub fn find<T>(&self, name: &ModelName, brought: Brought<'_>, takes: impl FnMut(&Destination, FallbackWhen) -> Option<T>) -> Option<T> {
        search::search(self, name, brought, takes)
    }
}

impl Route {
    /// The destinations of one call, the one that should serve it first.
    fn destinations(&self, name: &ModelName, brought: Brought<'_>) -> Vec<&Destination> {
        let Brought { headers, content, draw } = brought;
        if let Some(except) = self.exceptions.iter().find(|except| except.fits(headers)) {
            return vec![&except.to];
        }
        let value = |header: &HeaderName| headers.get(header).map(|value| share::key(name, value.as_bytes()));
        let key = match &self.sticky {
            Sticky::Request => None,
            Sticky::Tenant => value(&X_TORCHMESH_TENANT),
            Sticky::Session => value(&X_TORCHMESH_SESSION),
            Sticky::Header(header) => value(header),
            Sticky::Content => content.map(|content| share::key(name, &content.to_le_bytes())),
        };
        share::ranked(&self.shares, key.unwrap_or(draw))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
    fn order_of(file: &str, model: &str, brought: Brought<'_>) -> Vec<String> {
        let mut seen = Vec::new();
        parse(file).unwrap().find(&name(model), brought, |to, _| {
            seen.push(to.version.map_or_else(|| to.model.to_string(), |version| format!("{}@{version}", to.model)));
            None::<()>
        });
        seen
    }

    fn order(model: &str, headers: &HeaderMap, draw: u64) -> Vec<String> {
        order_of(FILE, model, Brought { headers, content: None, draw })
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
    fn all_of_an_exception_must_hold() {
        const FILE: &str = r#"
            [[route]]
            model = "m"
            to = [{ version = "1" }]
            except = [
                { header = "x-canary", value = "yes", tenants = ["acme", "globex"], version = "2" },
                { header = "x-beta", present = true, when = [{ header = "x-region", value = "eu" }, { header = "x-old", present = false }], version = "3" },
            ]
        "#;
        let of = |pairs: &[(&'static str, &'static str)]| {
            let headers = headers(pairs);
            order_of(FILE, "m", Brought { headers: &headers, content: None, draw: 1 }).concat()
        };
        for tenant in ["acme", "globex"] {
            assert_eq!(of(&[("x-canary", "yes"), ("x-torchmesh-tenant", tenant)]), "m@2");
        }
        assert_eq!(of(&[("x-canary", "yes"), ("x-torchmesh-tenant", "initech")]), "m@1");
        assert_eq!([of(&[("x-canary", "yes")]), of(&[("x-torchmesh-tenant", "acme")])], ["m@1"; 2]);
        assert_eq!(of(&[("x-beta", "whatever"), ("x-region", "eu")]), "m@3");
        assert_eq!(of(&[("x-beta", ""), ("x-region", "eu")]), "m@3", "it is there, if empty");
        assert_eq!([of(&[("x-beta", "1"), ("x-region", "us")]), of(&[("x-region", "eu")])], ["m@1"; 2]);
        assert_eq!(of(&[("x-beta", "1"), ("x-region", "eu"), ("x-old", "1")]), "m@1");
    }

    #[test]
    fn who_sends_the_same_header_or_asks_the_same_stays_where_it_is_by_whatever_name() {
        let file = |sticky: &str| {
            format!(
                "[[route]]\nmodel = 'm'\nsticky = {sticky}\nto = [{{ version = '1', weight = 50 }}, {{ version = '2', weight = 50 }}]\n\
                 [[route]]\nmodel = 'alias'\nto = [{{ model = 'm' }}]\n[[route]]\nmodel = 'other'\nto = [{{ version = '1' }}]"
            )
        };
        let (by_user, by_content) = (file("{ header = 'x-user' }"), file("'content'"));
        let mut seen = [HashSet::new(), HashSet::new()];
        for key in 0..40 {
            let user = HeaderMap::from_iter([(HeaderName::from_static("x-user"), HeaderValue::from(key))]);
            let none = HeaderMap::new();
            let places = |draw| {
                let by_user = order_of(&by_user, "alias", Brought { headers: &user, content: None, draw });
                [by_user, order_of(&by_content, "alias", Brought { headers: &none, content: Some(key), draw })]
            };
            let first = places(0);
            assert!((1..20).all(|draw| places(draw) == first));
            for (seen, order) in seen.iter_mut().zip(first) {
                seen.insert(order);
            }
        }
        assert_eq!(seen.map(|seen| seen.len()), [2, 2], "the keys are spread");
        let routes = parse(&by_content).unwrap();
        assert_eq!(["m", "alias", "other", "unknown"].map(|name| routes.goes_by_content(name)), [true, true, false, false]);
        assert!(!parse(&by_user).unwrap().go_by_content());
    }

    #[test]
    fn a_call_without_what_sticks_is_drawn_anew() {
        let file = "[[route]]\nmodel = 'm'\nsticky = 'content'\nto = [{ version = '1', weight = 50 }, { version = '2', weight = 50 }]";
        let headers = HeaderMap::new();
        let drawn: HashSet<_> = (0..40).map(|draw| order_of(file, "m", Brought { headers: &headers, content: None, draw })).collect();
        assert_eq!(drawn.len(), 2);
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
