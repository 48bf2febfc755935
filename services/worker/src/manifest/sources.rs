//! `[[source]]` of a manifest: which versions are fetched, and from where.

use toml::{Table, Value};
use torchmesh_fetch::Source;
use torchmesh_runtime::config::{FromSetting, Problems, Section};

use super::{Manifest, Published, Versions};

/// The versions that a manifest has fetched; of the ones that it does not serve, none.
///
/// A version's files may say what the manifest leaves out, so the rest of it is checked when they are there, or at once where it leaves out nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Every source.
    pub all: Vec<Source>,
    /// `versions`.
    pub versions: Versions,
}

impl Sources {
    /// Reads the text of a manifest. A text that is no TOML names no source; reading the manifest says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let Ok(mut table) = text.parse::<Table>() else { return Ok(Self::default()) };
        let versions = table.get("versions").and_then(|value| Versions::from_setting(value).ok()).unwrap_or_default();
        table.retain(|key, _| key == "source");
        Section::read_all(table, |s| Self { all: read(s), versions })
    }
}

/// Reads the sources of a section, and reports their mistakes.
pub(super) fn read(s: &mut Section) -> Vec<Source> {
    let Some(Raw(value)) = s.optional("source") else { return Vec::new() };
    let (sources, mistakes) = torchmesh_fetch::read(&value);
    for mistake in mistakes {
        s.problem(&mistake.field, mistake.message);
    }
    sources
}

/// A value as it is.
struct Raw(Value);

impl FromSetting for Raw {
    const EXPECTED: &'static str = "tables";
    fn from_setting(value: &Value) -> Result<Self, String> {
        Ok(Self(value.clone()))
    }
}

/// What is wrong with a manifest that leaves nothing to a version's files.
pub(super) fn problems_now(text: &str) -> Option<Problems> {
    let says_all = text.parse::<Table>().is_ok_and(|table| table.contains_key("task"));
    says_all.then(|| Manifest::parse(text, &Published::default()).err())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_sources_are_in_the_manifests_report() {
        let text = "task = 'embed'\nmax_tokens = 1\n[[source]]\nurl = 'nowhere'";
        let report = Manifest::parse(text, &Published::default()).unwrap_err().to_string();
        assert!(report.contains("source[0].url: must be hf://") && report.contains("max_tokens"), "{report}");
        assert!(Sources::parse(text).unwrap_err().to_string().contains("source[0].url"));
    }

    #[test]
    fn a_manifest_without_a_task_waits_for_the_files_that_say_it() {
        let sources = Sources::parse("versions = 'latest'\n[[source]]\nurl = 'hf://a/b'").unwrap();
        assert_eq!((sources.all.len(), sources.versions), (1, Versions::Latest(1)));
        assert_eq!(problems_now("[[source]]\nurl = 'hf://a/b'\nmax_tokns = 3"), None);
        assert!(problems_now("task = 'embed'\nmax_tokns = 3").is_some());
    }
}
