//! The texts: one file a language, each with the same keys.

mod negotiate;

use std::collections::HashMap;

use torchmesh_runtime::process::StartError;

pub use negotiate::negotiate;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// 简体中文.
    Chinese,
}

impl Language {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The tag, as `lang` has it.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// What its speakers call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }

    /// The one of a tag.
    pub fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    fn file(self) -> &'static str {
        match self {
            Self::English => include_str!("en.toml"),
            Self::Chinese => include_str!("zh.toml"),
        }
    }
}

/// The texts of every language.
#[derive(Debug)]
pub struct Words([HashMap<String, String>; 2]);

/// The texts of one.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a>(&'a HashMap<String, String>);

impl Words {
    /// Reads the files, which are part of the program.
    pub fn new() -> Result<Self, StartError> {
        let [one, other] = Language::ALL.map(read);
        Ok(Self([one?, other?]))
    }

    /// Those of a language.
    pub fn of(&self, language: Language) -> Texts<'_> {
        Texts(&self.0[language as usize])
    }
}

impl<'a> Texts<'a> {
    /// A text. A key that there is none of shows itself; a test looks for those.
    pub fn get(self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }

    /// A text, if there is one of this key.
    pub fn find(self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(String::as_str)
    }

    /// A text with its places filled: `{name}`.
    pub fn fill(self, key: &'a str, places: &[(&str, &str)]) -> String {
        places.iter().fold(self.get(key).to_owned(), |text, (place, value)| text.replace(&format!("{{{place}}}"), value))
    }
}

fn read(language: Language) -> Result<HashMap<String, String>, StartError> {
    let table: toml::Table = language.file().parse()?;
    let mut texts = HashMap::new();
    gather("", &table, &mut texts)?;
    Ok(texts)
}

fn gather(within: &str, table: &toml::Table, texts: &mut HashMap<String, String>) -> Result<(), StartError> {
    for (key, value) in table {
        let key = if within.is_empty() { key.clone() } else { format!("{within}.{key}") };
        match value {
            toml::Value::Table(table) => gather(&key, table, texts)?,
            toml::Value::String(text) => drop(texts.insert(key, text.clone())),
            other => return Err(format!("the text {key} is {}", other.type_str()).into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
