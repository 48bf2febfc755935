//! The file that a listing is made of.

use std::{fs, path::Path};

use serde::Deserialize;
use torchmesh_api::accounts::v1 as api;

use crate::{
    cli::day,
    error::{Failure, Result, USAGE},
};

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListingFile {
    pub(super) model: String,
    #[serde(default)]
    pub(super) provider: String,
    task: String,
    en: Text,
    zh: Option<Text>,
    #[serde(default)]
    version: Vec<Edition>,
    everyone: Option<bool>,
    #[serde(default)]
    tenants: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    summary: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    terms: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edition {
    version: String,
    day: String,
    text: String,
}

/// What is said of a model.
pub(super) struct Said {
    pub(super) task: String,
    pub(super) texts: Vec<api::ListingText>,
    pub(super) versions: Vec<api::ListingVersion>,
    pub(super) audience: Option<api::ListingAudience>,
}

impl ListingFile {
    /// Reads one: JSON where its name says so, else TOML.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |error: String| Failure::new(USAGE, format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
            return serde_json::from_str(&text).map_err(|error| wrong(error.to_string()));
        }
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// The same as messages have it.
    pub(super) fn said(self) -> Result<Said> {
        let text = |language: &str, Text { summary, description, terms }| api::ListingText {
            language: language.to_owned(),
            summary,
            description,
            terms,
        };
        let texts = [Some(text("en", self.en)), self.zh.map(|zh| text("zh", zh))].into_iter().flatten().collect();
        let version = |one: Edition| -> Result<api::ListingVersion> {
            let day_unix_ms = day(&one.day).map_err(|error| Failure::new(USAGE, format!("version {:?}: day {error}", one.version)))?;
            Ok(api::ListingVersion { version: one.version, day_unix_ms, text: one.text })
        };
        let versions = self.version.into_iter().map(version).collect::<Result<_>>()?;
        let is_said = self.everyone.is_some() || !self.tenants.is_empty();
        let everyone = self.everyone.unwrap_or_default();
        let audience = is_said.then_some(api::ListingAudience { everyone, tenants: self.tenants });
        Ok(Said { task: self.task, texts, versions, audience })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "model = 'm'\ntask = 'generate'\n[en]\nsummary = 's'\n[[version]]\nversion = '1'\nday = '1970-01-02'\ntext = 'new'\n";

    fn said(text: &str) -> Result<Said> {
        let file: ListingFile = toml::from_str(text).map_err(|error| Failure::new(USAGE, error.to_string()))?;
        file.said()
    }

    #[test]
    fn a_file_says_what_it_says_and_nothing_of_whom_it_is_for_where_it_does_not() {
        let read = said(FILE).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((read.texts.len(), read.versions[0].day_unix_ms, read.audience), (1, 86_400_000, None));
        let read = said(&format!("tenants = ['acme']\n{FILE}")).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(read.audience, Some(api::ListingAudience { everyone: false, tenants: vec!["acme".to_owned()] }));
    }

    #[test]
    fn a_slip_in_a_file_is_refused() {
        for wrong in [FILE.replace("1970-01-02", "tomorrow"), FILE.replace("summary", "sumary"), format!("tenant = 'acme'\n{FILE}")] {
            assert!(said(&wrong).is_err(), "{wrong}");
        }
    }
}
