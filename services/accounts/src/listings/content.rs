//! What may be said of a model: checked once, as it comes in.

use std::collections::BTreeSet;

use torchmesh_api::ids::ModelName;

use crate::error::{Refusal, Result};

/// The longest line.
const LONGEST_LINE: usize = 200;
/// The longest text.
const LONGEST_TEXT: usize = 20_000;
/// The longest note of a version.
const LONGEST_NOTE: usize = 2000;
/// The longest task, and the longest name of a version.
const LONGEST_NAME: usize = 64;
/// The most versions.
const MOST_VERSIONS: usize = 200;
/// The most tenants that a listing is for.
const MOST_TENANTS: usize = 1000;
const DAY_MS: i64 = 86_400_000;
/// The first day of the year 10000.
const LAST_DAY_MS: i64 = 253_402_300_800_000;

/// The languages that there are texts in; the first must be.
pub const LANGUAGES: [&str; 2] = ["en", "zh"];

/// What is said in one language.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.ListingText`")]
pub struct Text {
    pub language: String,
    pub summary: String,
    pub description: String,
    pub terms: String,
}

/// A version, and what is new in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.ListingVersion`")]
pub struct Version {
    pub version: String,
    pub day_ms: i64,
    pub text: String,
}

/// Who sees a listing that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// Everybody.
    pub everyone: bool,
    /// These tenants, by ids or names, beside the provider.
    pub tenants: Vec<String>,
}

/// All that is said of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What it is for.
    pub task: String,
    /// By language.
    pub texts: Vec<Text>,
    /// What is new in which version.
    pub versions: Vec<Version>,
}

/// Whether a character changes how those around it are read without being seen: of one line another could be made.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text without what cannot be seen; lines end as they do here.
fn text(field: &str, told: &str, longest: usize, lines: bool) -> Result<String> {
    let text = told.replace("\r\n", "\n").trim().to_owned();
    if text.chars().count() > longest {
        return Err(Refusal::Invalid(format!("{field}: must have at most {longest} characters")));
    }
    let wrong = |c: char| is_hidden(c) || (c.is_control() && !(lines && matches!(c, '\n' | '\t')));
    if let Some(found) = text.chars().find(|c| wrong(*c)) {
        return Err(Refusal::Invalid(format!("{field}: has the character U+{:04X}, which nobody sees; leave it out", u32::from(found))));
    }
    Ok(text)
}

fn line(field: &str, told: &str, longest: usize) -> Result<String> {
    let line = text(field, told, longest, false)?;
    if line.is_empty() { Err(Refusal::Invalid(format!("{field}: must be said"))) } else { Ok(line) }
}

/// A model's name.
pub(super) fn model(name: &str) -> Result<String> {
    let name = ModelName::parse(name).map_err(|error| Refusal::Invalid(format!("model: {error}")))?;
    Ok(name.as_str().to_owned())
}

/// The words that are searched for.
pub(super) fn words(told: &str) -> Result<Vec<String>> {
    let words: BTreeSet<String> = text("words", told, LONGEST_LINE, false)?.to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.len() > 8 { Err(Refusal::Invalid("words: must be at most 8".to_owned())) } else { Ok(words.into_iter().collect()) }
}

impl Content {
    /// The same as it is kept.
    ///
    /// Error: what is wrong with it.
    pub(super) fn checked(&self) -> Result<Self> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=LONGEST_NAME).contains(&self.task.len()) || !self.task.chars().all(good) {
            return Err(Refusal::Invalid("task: must have 1 to 64 lower-case letters, digits and '-', such as generate".to_owned()));
        }
        Ok(Self { task: self.task.clone(), texts: texts(&self.texts)?, versions: versions(&self.versions)? })
    }
}

fn texts(told: &[Text]) -> Result<Vec<Text>> {
    let mut texts: Vec<Text> = Vec::new();
    for one in told {
        if !LANGUAGES.contains(&one.language.as_str()) || texts.iter().any(|there| there.language == one.language) {
            return Err(Refusal::Invalid("texts.language: must be en or zh, each once".to_owned()));
        }
        texts.push(Text {
            language: one.language.clone(),
            summary: line("texts.summary", &one.summary, LONGEST_LINE)?,
            description: text("texts.description", &one.description, LONGEST_TEXT, true)?,
            terms: text("texts.terms", &one.terms, LONGEST_TEXT, true)?,
        });
    }
    if texts.iter().any(|one| one.language == LANGUAGES[0]) {
        return Ok(texts);
    }
    Err(Refusal::Invalid("texts: must have an English one (language en)".to_owned()))
}

fn versions(told: &[Version]) -> Result<Vec<Version>> {
    if told.len() > MOST_VERSIONS {
        return Err(Refusal::Invalid(format!("versions: must be at most {MOST_VERSIONS}")));
    }
    let mut versions: Vec<Version> = Vec::new();
    for one in told {
        let version = line("versions.version", &one.version, LONGEST_NAME)?;
        if versions.iter().any(|there| there.version == version) {
            return Err(Refusal::Invalid(format!("versions.version: {version:?} is there twice")));
        }
        if !(1..LAST_DAY_MS).contains(&one.day_ms) {
            return Err(Refusal::Invalid("versions.day_unix_ms: must be a day".to_owned()));
        }
        let (day_ms, note) = (one.day_ms - one.day_ms.rem_euclid(DAY_MS), text("versions.text", &one.text, LONGEST_NOTE, true)?);
        if note.is_empty() {
            return Err(Refusal::Invalid("versions.text: must be said".to_owned()));
        }
        versions.push(Version { version, day_ms, text: note });
    }
    Ok(versions)
}

impl Audience {
    pub(super) fn checked(&self) -> Result<&Self> {
        if self.tenants.len() > MOST_TENANTS {
            return Err(Refusal::Invalid(format!("audience.tenants: must be at most {MOST_TENANTS}")));
        }
        if self.everyone && !self.tenants.is_empty() {
            return Err(Refusal::Invalid("audience: is everyone, or these tenants; say one of the two".to_owned()));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(summary: &str) -> Content {
        let texts = vec![Text { language: "en".into(), summary: summary.into(), ..Text::default() }];
        Content { task: "generate".into(), texts, versions: Vec::new() }
    }

    #[test]
    fn what_cannot_be_seen_is_refused_and_the_rest_is_kept_as_it_is() {
        let markup = "<b onclick=\"x\">'; DROP TABLE listings; -- {{7*7}}";
        assert_eq!(content(markup).checked().unwrap().texts[0].summary, markup);
        for wrong in ["", " ", "two\nlines", "a\u{0}b", "a\u{202e}b", "\u{feff}a", "a\u{200b}b", &"x".repeat(201)] {
            let refused = content(wrong).checked();
            assert!(matches!(&refused, Err(Refusal::Invalid(why)) if why.starts_with("texts.summary: ")), "{wrong:?}: {refused:?}");
        }
    }

    #[test]
    fn an_english_text_is_there_and_each_version_once() {
        let of =
            |language: &str| Content { texts: vec![Text { language: language.into(), ..content("s").texts[0].clone() }], ..content("s") };
        assert!(of("zh").checked().is_err() && of("fr").checked().is_err() && of("en").checked().is_ok());
        let version = Version { version: "1".into(), day_ms: DAY_MS + 5, text: "new".into() };
        let with = |versions: Vec<Version>| Content { versions, ..content("s") }.checked();
        assert_eq!(with(vec![version.clone()]).unwrap().versions[0].day_ms, DAY_MS);
        assert!(with(vec![version.clone(), version.clone()]).is_err());
        assert!(with(vec![Version { day_ms: 0, ..version }]).is_err());
    }
}
