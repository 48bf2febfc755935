//! Where an instance is, as far as it matters who calls it.

use std::{fmt, sync::Arc};

use torchmesh_settings::FromSetting;

const LONGEST: usize = 63;

/// A zone, such as `eu-west-1a`: what fails together, and is nearer to itself than to others. 1 to 63 of `A-Z a-z 0-9 . _ -`, as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(Arc<str>);

impl Zone {
    /// Checks the text.
    pub fn parse(text: &str) -> Option<Self> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        ((1..=LONGEST).contains(&text.len()) && text.chars().all(good)).then(|| Self(text.into()))
    }

    /// What another system says; a text that is no zone is as none.
    pub(crate) fn told(text: Option<&str>) -> Option<Self> {
        let text = text.filter(|text| !text.is_empty())?;
        let zone = Self::parse(text);
        if zone.is_none() {
            tracing::debug!(zone = text, "an instance is in a zone whose name cannot be used; it counts as being in none");
        }
        zone
    }

    /// The text, shared.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromSetting for Zone {
    const EXPECTED: &'static str = "a zone's name such as \"eu-west-1a\": 1 to 63 letters, digits, '.', '_' and '-'";
    fn from_setting(value: &toml::Value) -> Result<Self, String> {
        value.as_str().and_then(Self::parse).ok_or_else(|| format!("must be {}, not {value}", Self::EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_kubernetes_takes_is_a_zone_and_what_is_empty_too_long_or_odd_is_none() {
        for good in ["a", "eu-west-1a", "rack_7.2", &"z".repeat(63)] {
            assert_eq!(Zone::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "a b", "zürich", "a/b", "\n", &"z".repeat(64)] {
            assert_eq!((Zone::parse(bad), Zone::told(Some(bad))), (None, None), "{bad:?}");
        }
        assert_eq!(Zone::told(None), None);
    }
}
