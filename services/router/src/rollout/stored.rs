//! Names and versions as JSON keeps them: as the text that they are checked from.

use std::fmt::Display;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
use torchmesh_api::ids::{ModelName, ModelVersion};

pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn model<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ModelName, D::Error> {
    ModelName::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ModelVersion, D::Error> {
    let text = String::deserialize(deserializer)?;
    ModelVersion::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a version such as \"3\"")))
}
