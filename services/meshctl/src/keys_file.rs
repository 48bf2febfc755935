//! The keys file of a gateway, as it is edited: entries come and go, and whatever else somebody wrote into it stays.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::{
    error::{Failure, Result, USAGE},
    home::replace,
};

/// What a file begins with that is new.
const HEADING: &str =
    "# Who may call the gateway: keys and clients, by hash. `meshctl keys` edits it; docs/security.md says what can be in it.\n";

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// An API key.
    Key,
    /// An OAuth client, with its secret.
    Client,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Client => "client",
        }
    }
}

/// An entry, as far as it is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: Kind,
    /// Whom it names: for logs and bills.
    pub(crate) name: String,
    /// The part of the key that is no secret; empty in entries that do not say it.
    pub(crate) id: String,
    /// Who pays.
    pub(crate) tenant: String,
    /// What it may do; the usual when absent.
    pub(crate) scopes: Option<Vec<String>>,
    /// Which models; all when absent.
    pub(crate) models: Option<Vec<String>>,
    /// When it ends, in UTC.
    pub(crate) expires: Option<String>,
    /// The hash of the secret.
    #[serde(skip)]
    pub(crate) sha256: String,
}

/// A time as the file has it, `after` from `now`.
pub(crate) fn moment(now: SystemTime, after: Duration) -> String {
    // Past the year 9999 there is no way to write it, and no reason to.
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let at = now.checked_add(after).map_or(latest, |at| at.min(latest));
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The text of a keys file.
#[derive(Debug)]
pub(crate) struct KeysFile {
    document: DocumentMut,
    /// What stands before all of it in a file that is new.
    heading: &'static str,
}

impl KeysFile {
    /// Reads a text; an empty one is a new file.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, toml_edit::TomlError> {
        let heading = if text.trim().is_empty() { HEADING } else { "" };
        Ok(Self { document: text.parse()?, heading })
    }

    /// The entries, in their order; those that lack a name or a hash are not ours to list.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let of = |kind: Kind| {
            let tables = self.document.get(kind.table()).and_then(Item::as_array_of_tables);
            tables.into_iter().flat_map(ArrayOfTables::iter).filter_map(move |table| read(kind, table))
        };
        of(Kind::Key).chain(of(Kind::Client)).collect()
    }

    /// Adds an entry after the others.
    pub(crate) fn add(&mut self, entry: &Entry) -> Result<()> {
        let item = self.document.entry(entry.kind.table()).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(tables) = item.as_array_of_tables_mut() else {
            let problem = format!("`{}` in the keys file is not a list of tables", entry.kind.table());
            return Err(Failure::new(USAGE, problem).help(format!("write each entry below a line [[{}]]", entry.kind.table())));
        };
        let mut table = Table::new();
        let list = |words: &Option<Vec<String>>| words.as_ref().map(|words| value(words.iter().collect::<Array>()));
        let text = |text: &str| (!text.is_empty()).then(|| value(text));
        let expires = entry.expires.as_ref().and_then(|at| at.parse::<toml_edit::Datetime>().ok()).map(value);
        for (field, item) in [
            ("name", text(&entry.name)),
            ("id", text(&entry.id)),
            ("tenant", text(&entry.tenant)),
            ("sha256", text(&entry.sha256)),
            ("scopes", list(&entry.scopes)),
            ("models", list(&entry.models)),
            ("expires", expires),
        ] {
            if let Some(item) = item {
                table.insert(field, item);
            }
        }
        tables.push(table);
        Ok(())
    }

    /// Takes entries out; says how many.
    pub(crate) fn remove(&mut self, kind: Kind, gone: impl Fn(&Entry) -> bool) -> usize {
        let Some(tables) = self.document.get_mut(kind.table()).and_then(Item::as_array_of_tables_mut) else { return 0 };
        let before = tables.len();
        tables.retain(|table| !read(kind, table).is_some_and(|entry| gone(&entry)));
        before - tables.len()
    }

    /// Has entries end at a time, those excepted that end before it anyway.
    pub(crate) fn end(&mut self, kind: Kind, at: &str, ending: impl Fn(&Entry) -> bool) {
        let Ok(time) = at.parse::<toml_edit::Datetime>() else { return };
        let Some(tables) = self.document.get_mut(kind.table()).and_then(Item::as_array_of_tables_mut) else { return };
        for table in tables.iter_mut() {
            // Times in UTC are in the order of their letters.
            if read(kind, table).is_some_and(|entry| ending(&entry) && entry.expires.is_none_or(|expires| expires.as_str() > at)) {
                table.insert("expires", value(time));
            }
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.heading, self.document)
    }
}

fn read(kind: Kind, table: &Table) -> Option<Entry> {
    let text = |field: &str| table.get(field).and_then(Item::as_str).map(str::to_owned);
    let list = |field: &str| -> Option<Vec<String>> {
        Some(table.get(field)?.as_array()?.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
    };
    Some(Entry {
        kind,
        name: text("name")?,
        id: text("id").unwrap_or_default(),
        tenant: text("tenant").unwrap_or_default(),
        scopes: list("scopes"),
        models: list("models"),
        expires: table.get("expires").and_then(Item::as_datetime).map(ToString::to_string),
        sha256: text("sha256")?,
    })
}

/// Reads the file, lets `change` edit it, and replaces it at one stroke; nobody else edits it meanwhile. An absent file is an empty one.
pub(crate) fn edit<T>(path: &Path, change: impl FnOnce(&mut KeysFile) -> Result<T>) -> Result<T> {
    let lock = beside(path);
    let held = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
    let held = held.and_then(|file| file.lock().map(|()| file)).map_err(|error| Failure::file("lock", &lock, &error))?;
    let mut file = load(path)?;
    let before = file.text();
    let done = change(&mut file)?;
    let (after, mode) = (file.text(), fs::metadata(path).map_or(0o600, |known| known.permissions().mode() & 0o777));
    if after != before || !path.exists() {
        replace(path, &after, mode)?;
    }
    drop(held);
    Ok(done)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

/// Reads the file; an absent one is empty.
pub(crate) fn load(path: &Path) -> Result<KeysFile> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    KeysFile::parse(&text).map_err(|error| {
        Failure::new(USAGE, format!("{} is not readable as TOML: {error}", path.display()))
            .help("repair it, or delete it: the next `meshctl up` writes a new one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, id: &str) -> Entry {
        Entry {
            kind: Kind::Key,
            name: name.to_owned(),
            id: id.to_owned(),
            tenant: "acme".to_owned(),
            scopes: Some(vec!["infer".to_owned()]),
            models: None,
            expires: None,
            sha256: "aa".to_owned(),
        }
    }

    #[test]
    fn what_is_added_is_listed_and_what_somebody_wrote_stays() {
        let mut file =
            KeysFile::parse("# mine\n[[key]]\nname = 'old'   # why\ntenant = 't'\nsha256 = 'bb'\n[[workload]]\nspiffe = 'x'\n").unwrap();
        file.add(&entry("new", "1")).unwrap();
        let text = file.text();
        assert!(text.contains("# mine") && text.contains("# why") && text.contains("spiffe = 'x'"), "{text}");
        let names: Vec<_> = KeysFile::parse(&text).unwrap().entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["old", "new"]);
        assert_eq!(KeysFile::parse(&text).unwrap().entries()[1], entry("new", "1"));
    }

    #[test]
    fn a_new_file_begins_with_what_it_is_and_says_so_once() {
        let mut file = KeysFile::parse("").unwrap();
        file.add(&entry("a", "1")).unwrap();
        let text = file.text();
        assert!(text.starts_with(HEADING), "{text}");
        let mut again = KeysFile::parse(&text).unwrap();
        again.add(&entry("b", "2")).unwrap();
        assert!(again.text().starts_with(HEADING) && again.text().matches('#').count() == 1, "{}", again.text());
    }

    #[test]
    fn an_entry_is_removed_by_what_it_is() {
        let mut file = KeysFile::parse("").unwrap();
        for (name, id) in [("a", "1"), ("a", "2"), ("b", "3")] {
            file.add(&entry(name, id)).unwrap();
        }
        assert_eq!(file.remove(Kind::Key, |entry| entry.name == "a" && entry.id == "2"), 1);
        assert_eq!(file.remove(Kind::Client, |_| true), 0);
        assert_eq!(file.entries().iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    }

    #[test]
    fn an_end_only_moves_forward_in_time() {
        let mut file = KeysFile::parse("").unwrap();
        file.add(&entry("a", "1")).unwrap();
        let (later, sooner) = ("2030-01-01T00:00:00Z", "2029-01-01T00:00:00Z");
        file.end(Kind::Key, later, |_| true);
        file.end(Kind::Key, sooner, |_| true);
        assert_eq!(file.entries()[0].expires.as_deref(), Some(sooner));
        file.end(Kind::Key, later, |_| true);
        assert_eq!(file.entries()[0].expires.as_deref(), Some(sooner), "a key that ends does not live again");
    }

    #[test]
    fn times_are_written_as_the_file_has_them() {
        assert_eq!(moment(UNIX_EPOCH, Duration::from_secs(86_400)), "1970-01-02T00:00:00Z");
        assert_eq!(moment(UNIX_EPOCH, Duration::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn an_edit_that_fails_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        edit(&path, |file| file.add(&entry("a", "1"))).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        let failed: Result<()> = edit(&path, |file| {
            file.add(&entry("b", "2"))?;
            Err(Failure::new(USAGE, "no"))
        });
        assert!(failed.is_err() && fs::read_to_string(&path).unwrap() == before);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
