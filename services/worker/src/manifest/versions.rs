//! Which versions of a model are served.

use std::collections::BTreeSet;

use toml::Value;
use torchmesh_api::ids::ModelVersion;
use torchmesh_runtime::config::FromSetting;

/// `versions`: which of the version folders are loaded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Versions {
    /// `"all"`.
    #[default]
    All,
    /// `"latest"`, or `{ latest = 3 }` for the highest three.
    Latest(usize),
    /// `[1, 4]`: these alone.
    Only(BTreeSet<ModelVersion>),
}

impl Versions {
    /// Whether `version`, one of `all`, is served.
    pub(crate) fn has(&self, version: ModelVersion, all: &BTreeSet<ModelVersion>) -> bool {
        match self {
            Self::All => true,
            Self::Latest(count) => all.range(version..).count() <= *count,
            Self::Only(versions) => versions.contains(&version),
        }
    }
}

impl FromSetting for Versions {
    const EXPECTED: &'static str = "\"all\", \"latest\", { latest = N } or a list of versions such as [1, 4]";

    fn from_setting(value: &Value) -> Result<Self, String> {
        let read = match value {
            Value::String(word) if word == "all" => Some(Self::All),
            Value::String(word) if word == "latest" => Some(Self::Latest(1)),
            Value::Table(table) if table.len() == 1 => latest(table),
            Value::Array(list) if !list.is_empty() => list.iter().map(version).collect::<Option<_>>().map(Self::Only),
            _ => None,
        };
        read.ok_or_else(|| format!("must be {}", Self::EXPECTED))
    }
}

fn latest(table: &toml::Table) -> Option<Versions> {
    let count = usize::try_from(table.get("latest")?.as_integer()?).ok()?;
    (count > 0).then_some(Versions::Latest(count))
}

fn version(value: &Value) -> Option<ModelVersion> {
    ModelVersion::parse(&value.as_integer()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(setting: &str) -> Result<Vec<u64>, String> {
        let table: toml::Table = format!("versions = {setting}").parse().unwrap();
        let versions = Versions::from_setting(&table["versions"])?;
        let all: BTreeSet<_> = [1, 2, 5, 9].iter().map(|number| ModelVersion::parse(&number.to_string()).unwrap()).collect();
        Ok(all.iter().filter(|version| versions.has(**version, &all)).map(|version| version.get()).collect())
    }

    #[test]
    fn the_setting_chooses_among_the_folders() {
        assert_eq!(served("'all'").unwrap(), [1, 2, 5, 9]);
        assert_eq!(served("'latest'").unwrap(), [9]);
        assert_eq!(served("{ latest = 2 }").unwrap(), [5, 9]);
        assert_eq!(served("{ latest = 9 }").unwrap(), [1, 2, 5, 9]);
        assert_eq!(served("[2, 7]").unwrap(), [2]);
        for wrong in ["'newest'", "{ latest = 0 }", "{ newest = 1 }", "[]", "[0]", "['1']", "3"] {
            assert!(served(wrong).unwrap_err().contains("\"all\", \"latest\""), "{wrong}");
        }
    }
}
