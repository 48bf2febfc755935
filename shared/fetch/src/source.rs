//! `[[source]]` of a manifest.

use std::collections::BTreeMap;

use toml::{Table, Value};
use torchmesh_api::ids::ModelVersion;

use crate::{Address, Pattern, lock::is_sha256, pattern::is_plain};

/// Where one version of a model comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// `version`: which version the files make. Default 1.
    pub version: ModelVersion,
    /// `url`.
    pub address: Address,
    /// `files`: which files are fetched. Default: all of a folder in an object store, what a worker reads of a hub's repository, the file itself of
    /// a web address. A folder of a web server cannot be listed: there each name must be given.
    pub files: Vec<Pattern>,
    /// `sha256`: what files have to be, by name.
    pub pins: BTreeMap<String, String>,
}

/// A mistake in a manifest's sources.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The field, such as `source[0].url`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Source {
    /// The patterns as text, as a lock file keeps them.
    pub(crate) fn wanted(&self) -> Vec<String> {
        self.files.iter().map(ToString::to_string).collect()
    }

    /// Whether a file of the source is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        if !self.files.is_empty() {
            return self.files.iter().any(|pattern| pattern.matches(name));
        }
        match self.address {
            Address::Hub { .. } => is_read_by_workers(name),
            Address::Objects(_) | Address::Web(_) => true,
        }
    }
}

/// What a worker reads of a published repository: tables, texts and weights, at the top and in the folders of sentence-transformers' modules
/// (`1_Pooling`); not the same weights in other frameworks' forms.
fn is_read_by_workers(name: &str) -> bool {
    const ENDINGS: [&str; 6] = [".json", ".txt", ".model", ".safetensors", ".pt", ".pt2"];
    let placed = name.split_once('/').is_none_or(|(folder, file)| folder.starts_with(|c: char| c.is_ascii_digit()) && !file.contains('/'));
    placed && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Reads the value of `source`: every source, and every mistake.
pub fn read(value: &Value) -> (Vec<Source>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let mut sources: Vec<Source> = Vec::new();
    let Value::Array(items) = value else {
        mistakes.push(Mistake { field: "source".into(), message: "must be tables: [[source]] and below it url = \"…\"".into() });
        return (sources, mistakes);
    };
    for (at, item) in items.iter().enumerate() {
        let mut report = |field: &str, message: String| {
            let dot = if field.is_empty() { "" } else { "." };
            mistakes.push(Mistake { field: format!("source[{at}]{dot}{field}"), message });
        };
        let Value::Table(table) = item else {
            report("", "must be a table".to_owned());
            continue;
        };
        let Some(source) = one(table, &mut report) else { continue };
        if sources.iter().any(|other| other.version == source.version) {
            report("version", format!("is {} as in an earlier source; each version has one", source.version));
        }
        sources.push(source);
    }
    (sources, mistakes)
}

fn one(table: &Table, report: &mut dyn FnMut(&str, String)) -> Option<Source> {
    for key in table.keys().filter(|key| !["url", "version", "files", "sha256"].contains(&key.as_str())) {
        report(key, "is not a setting here; known are: url, version, files, sha256".to_owned());
    }
    let address = match table.get("url").map(|url| url.as_str().map(Address::parse)) {
        None => Err("is required".to_owned()),
        Some(None) => Err("must be a text".to_owned()),
        Some(Some(read)) => read,
    };
    let address = address.map_err(|message| report("url", message)).ok();
    let version = version(table.get("version"));
    if version.is_none() {
        report("version", "must be a whole number from 1".to_owned());
    }
    let files = files(table.get("files"), report);
    let pins = pins(table.get("sha256"), report);
    if matches!(&address, Some(Address::Web(url)) if url.path().ends_with('/'))
        && (files.is_empty() || files.iter().any(|file| file.literal().is_none()))
    {
        report("files", "must name each file, since a web server's folder cannot be listed".to_owned());
    }
    Some(Source { version: version?, address: address?, files, pins })
}

fn version(value: Option<&Value>) -> Option<ModelVersion> {
    let Some(value) = value else { return ModelVersion::parse("1") };
    ModelVersion::parse(&value.as_integer()?.to_string())
}

fn files(value: Option<&Value>, report: &mut dyn FnMut(&str, String)) -> Vec<Pattern> {
    let items = match value {
        None => return Vec::new(),
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(_) => {
            report("files", "must be a list of file names or patterns such as [\"*.json\", \"model.pt\"]".to_owned());
            return Vec::new();
        }
    };
    let mut read = |item: &Value| match item.as_str().map(Pattern::parse) {
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(message)) => {
            report("files", message);
            None
        }
        None => {
            report("files", "must be texts".to_owned());
            None
        }
    };
    items.iter().filter_map(&mut read).collect()
}

fn pins(value: Option<&Value>, report: &mut dyn FnMut(&str, String)) -> BTreeMap<String, String> {
    let table = match value {
        None => return BTreeMap::new(),
        Some(Value::Table(table)) => table,
        Some(_) => {
            report("sha256", "must be a table such as { \"model.pt\" = \"64 hexadecimal digits\" }".to_owned());
            return BTreeMap::new();
        }
    };
    let mut pins = BTreeMap::new();
    for (name, sha) in table {
        match sha.as_str().map(str::to_ascii_lowercase) {
            Some(sha) if is_sha256(&sha) && is_plain(name) => drop(pins.insert(name.clone(), sha)),
            _ => report("sha256", format!("\"{name}\" must be a file's name with 64 hexadecimal digits")),
        }
    }
    pins
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<Source>, Vec<Mistake>) {
        read(&text.parse::<Table>().unwrap()["source"])
    }

    /// The source of a table.
    pub(crate) fn source(text: &str) -> Source {
        let (mut sources, mistakes) = parse(&format!("[[source]]\n{text}"));
        assert_eq!(mistakes, []);
        sources.remove(0)
    }

    #[test]
    fn an_address_is_enough() {
        let source = source("url = 'hf://org/name@abc'");
        assert_eq!((source.version.get(), source.files.len(), source.pins.len()), (1, 0, 0));
        for (name, wanted) in [
            ("config.json", true),
            ("model-00001-of-00002.safetensors", true),
            ("1_Pooling/config.json", true),
            ("pytorch_model.bin", false),
            ("onnx/config.json", false),
            ("README.md", false),
        ] {
            assert_eq!(source.wants(name), wanted, "{name}");
        }
    }

    #[test]
    fn every_mistake_is_reported_with_its_field() {
        let text = "[[source]]\nurl = 'nowhere'\nversion = 0\nfile = 'x'\n[[source]]\n[[source]]\nurl = 'https://h/x/'\nfiles = ['*.pt', 3, '../x']\n\
            sha256 = { 'model.pt' = '12' }\n[[source]]\nurl = 's3://b/x'";
        let (_, mistakes) = parse(text);
        let fields: Vec<_> = mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
        let expected = [
            "source[0].file",
            "source[0].url",
            "source[0].version",
            "source[1].url",
            "source[2].files",
            "source[2].files",
            "source[2].sha256",
            "source[2].files",
            "source[3].version",
        ];
        assert_eq!(fields, expected, "{mistakes:?}");
        let (_, mistakes) = parse("source = 'hf://a/b'");
        assert!(mistakes[0].message.contains("[[source]]"), "{mistakes:?}");
    }
}
