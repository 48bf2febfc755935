//! Which models something is for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{currency::shown, error::BillingError};

/// A model by its name, all whose names begin alike, or all. The more is said, the sooner it counts: a name before a beginning, a long beginning before a short one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// The model of this name.
    Exact(String),
    /// Models whose names begin so; of the empty text, all.
    Prefix(String),
}

impl Selector {
    /// Every model.
    pub fn any() -> Self {
        Self::Prefix(String::new())
    }

    /// Whether a model is one of those.
    pub fn matches(&self, model: &str) -> bool {
        match self {
            Self::Exact(name) => name == model,
            Self::Prefix(begin) => model.starts_with(begin.as_str()),
        }
    }

    /// Of selectors that match a model, the one with the greatest counts.
    pub(crate) fn precision(&self) -> (bool, usize) {
        match self {
            Self::Exact(name) => (true, name.len()),
            Self::Prefix(begin) => (false, begin.len()),
        }
    }
}

impl FromStr for Selector {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        let (name, star) = text.strip_suffix('*').map_or((text, false), |begin| (begin, true));
        if name.contains('*') || (name.is_empty() && !star) || name.chars().any(char::is_control) {
            return Err(BillingError::NotSelector(shown(text)));
        }
        Ok(if star { Self::Prefix(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }
}

impl TryFrom<String> for Selector {
    type Error = BillingError;

    fn try_from(text: String) -> Result<Self, BillingError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(begin) => write!(f, "{begin}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_stands_for_any_rest() {
        let matches = |selector: &str, model: &str| selector.parse::<Selector>().unwrap().matches(model);
        assert!(matches("acme-*", "acme-7b") && matches("*", "acme") && matches("acme", "acme"));
        assert!(!matches("acme-*", "acme") && !matches("acme", "acme-7b"));
        for bad in ["", "a*b", "**", "a\n"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad:?}");
        }
    }
}
