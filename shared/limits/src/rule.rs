//! A rule: what is counted, for whom, and how much of it there may be.

use std::fmt;

use crate::{
    gcra::Limit,
    pattern::Pattern,
    price::{self, Micros},
};

/// Whom a rule counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// Each credential of each tenant.
    Key,
    /// Each tenant.
    Tenant,
    /// Each model.
    Model,
    /// Each client address.
    Address,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Calls.
    Requests,
    /// Tokens, read and written.
    Tokens,
    /// Bytes of requests.
    Bytes,
    /// Calls that have not ended.
    Concurrent,
    /// Money, in millionths.
    Money,
}

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// In a time.
    Rate(Limit),
    /// In a month of the calendar.
    Month(u64),
    /// At once.
    AtOnce(u32),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What tells it from others: see [`Self::identify`].
    pub id: u64,
    /// Whom it counts apart.
    pub per: Per,
    /// What it counts.
    pub measure: Measure,
    /// How much there may be.
    pub allowance: Allowance,
    /// The amount as callers are told it: `1000/1m`.
    pub said: String,
    /// The tenants that it is for.
    pub tenant: Option<Pattern>,
    /// The credentials that it is for.
    pub key: Option<Pattern>,
    /// The models that it is for.
    pub model: Option<Pattern>,
}

/// Who asks for what, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// The tenant.
    pub tenant: Option<&'a str>,
    /// The credential; other tenants may have one of the same name.
    pub key: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
    /// The client's address.
    pub address: Option<&'a str>,
}

/// Whose count a call belongs to: a name, and where names are not unique by themselves, what they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Whose<'a> {
    /// The tenant of a credential; empty otherwise.
    pub of: &'a str,
    /// The name.
    pub name: &'a str,
}

impl Rule {
    /// Whose count a call belongs to; none when the rule is not for it.
    pub fn whose<'a>(&self, subject: &Subject<'a>) -> Option<Whose<'a>> {
        let fits = |pattern: &Option<Pattern>, name: Option<&str>| match pattern {
            None => true,
            Some(pattern) => name.is_some_and(|name| pattern.matches(name)),
        };
        if !(fits(&self.tenant, subject.tenant) && fits(&self.key, subject.key) && fits(&self.model, subject.model)) {
            return None;
        }
        let (of, name) = match self.per {
            Per::Key => (subject.tenant.unwrap_or_default(), subject.key?),
            Per::Tenant => ("", subject.tenant?),
            Per::Model => ("", subject.model?),
            Per::Address => ("", subject.address?),
        };
        Some(Whose { of, name })
    }

    /// Whether it can be decided before the model is known: whose count it is, and how much is asked for.
    pub fn is_known_at_once(&self) -> bool {
        self.per != Per::Model && self.model.is_none() && matches!(self.measure, Measure::Requests | Measure::Bytes)
    }

    /// What tells the rule from others. A rate of another amount is another rule and begins anew, since what was used of one cannot be told as a part of
    /// the other; a quota keeps its count. The same in every process and every build: gateways of two builds count together while one replaces
    /// the other.
    pub fn identify(&self) -> u64 {
        let pattern = |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
        let kind = match self.allowance {
            Allowance::Rate(limit) => format!("rate {} {}", limit.worth(1), limit.burst()),
            Allowance::Month(_) => "month".to_owned(),
            Allowance::AtOnce(_) => "at once".to_owned(),
        };
        let what = (self.per, self.measure, pattern(&self.tenant), pattern(&self.key), pattern(&self.model), kind);
        // FNV-1a.
        format!("{what:?}").bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The most that there may be at once.
    pub fn most(&self) -> u64 {
        match self.allowance {
            Allowance::Rate(limit) => limit.burst(),
            Allowance::Month(most) => most,
            Allowance::AtOnce(most) => most.into(),
        }
    }

    /// An amount of what it counts, in words.
    pub fn amount(&self, amount: u64) -> String {
        match self.measure {
            Measure::Money => price::money(amount as Micros),
            measure => format!("{amount} {measure}"),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Bytes => "bytes",
            Self::Concurrent => "calls at once",
            Self::Money => "budget",
        })
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Address => "address",
        })
    }
}
