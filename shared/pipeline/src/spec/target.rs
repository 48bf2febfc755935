//! The model that a step calls.

use std::{fmt, str::FromStr};

use toml::Value;
use torchmesh_api::ids::{ModelName, ModelVersion};
use torchmesh_settings::FromSetting;

/// A model, or a pipeline, which is one too: `spam`, or `spam@2`. Without a version the routes decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Its name.
    pub model: ModelName,
    /// The version, where the pipeline insists on one.
    pub version: Option<ModelVersion>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.model),
            None => write!(f, "{}", self.model),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        let wrong = |version: &str| format!("has the version {version:?}; a version is a whole number from 1, such as spam@2");
        let version = version.map(|version| ModelVersion::parse(version).ok_or_else(|| wrong(version))).transpose()?;
        Ok(Self { model: ModelName::parse(name).map_err(|error| error.to_string())?, version })
    }
}

impl FromSetting for Target {
    const EXPECTED: &'static str = "a model such as \"spam\", or \"spam@2\" for one version of it";

    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_str().ok_or_else(|| format!("must be {}", Self::EXPECTED))?.parse()
    }
}
