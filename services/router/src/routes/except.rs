//! Calls that a route treats otherwise than the rest, and by what they are told.

use http::{HeaderMap, HeaderName, HeaderValue};
use torchmesh_api::headers::X_TORCHMESH_TENANT;
use torchmesh_settings::Section;

use super::{
    Destination,
    read::{Header, Tenant, Text},
};

/// What sets a call apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It carries this header with this value.
    Header(HeaderName, HeaderValue),
    /// It carries this header, whatever its value is; or, with false, it does not.
    Present(HeaderName, bool),
    /// It is one of these tenants'.
    Tenants(Vec<HeaderValue>),
}

impl Condition {
    fn holds(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Header(name, wanted) => headers.get(name).is_some_and(|value| value == wanted),
            Self::Present(name, present) => headers.contains_key(name) == *present,
            Self::Tenants(tenants) => headers.get(X_TORCHMESH_TENANT).is_some_and(|tenant| tenants.contains(tenant)),
        }
    }
}

/// Calls that go elsewhere, whatever the weights are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What must all hold of a call.
    pub when: Vec<Condition>,
    /// Where it goes.
    pub to: Destination,
}

impl Exception {
    /// Whether it is for a call with these headers.
    pub(super) fn fits(&self, headers: &HeaderMap) -> bool {
        self.when.iter().all(|condition| condition.holds(headers))
    }
}

/// What must all hold of an exception's calls: its own keys, and those of each of `when`.
pub(super) fn read(s: &mut Section) -> Vec<Condition> {
    let (given, mut conditions) = read_condition(s);
    let more = s.list("when", |s| {
        let (given, conditions) = read_condition(s);
        s.check(given, "header", "must be given, or tenant or tenants");
        conditions
    });
    s.check(given || !more.is_empty(), "header", "must be given, or tenant, tenants or when: an exception is for some calls");
    conditions.extend(more.into_iter().flatten());
    conditions
}

/// Whether any key of a condition is there, and what they say.
fn read_condition(s: &mut Section) -> (bool, Vec<Condition>) {
    let given = ["header", "value", "present", "tenant", "tenants"].map(|key| s.has(key));
    let [header, value, present, tenant, tenants] = given;
    s.check(header || !value, "value", "is for a header");
    s.check(header || !present, "present", "is for a header");
    s.check(!header || value || present, "header", "needs a value, or present = true for any value");
    s.check(!(value && present), "present", "and value must not both be given: what has a value is present");
    s.check(!(tenant && tenants), "tenant", "and tenants must not both be given: name them all in tenants");
    let by_header = match (s.optional::<Header>("header"), s.optional::<Text>("value"), s.optional("present")) {
        (Some(name), Some(value), None) => Some(Condition::Header(name.0, value.0)),
        (Some(name), None, Some(present)) => Some(Condition::Present(name.0, present)),
        _ => None,
    };
    let (one, several) = (s.optional::<Tenant>("tenant"), s.optional::<Vec<Tenant>>("tenants"));
    s.check(several.as_ref().is_none_or(|tenants| !tenants.is_empty()), "tenants", "must name at least one tenant");
    let of = |tenants: Vec<Tenant>| Condition::Tenants(tenants.into_iter().map(|tenant| tenant.0).collect());
    let by_tenant = one.map(|tenant| vec![tenant]).or(several).map(of);
    (given.contains(&true), by_header.into_iter().chain(by_tenant).collect())
}
