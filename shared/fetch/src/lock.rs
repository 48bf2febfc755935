//! `model.lock`: what each fetched file has to be. Written at the first fetch, beside the manifest; it belongs under version control with it.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Source, error::FetchError};

/// The name of the lock file.
pub const FILE_NAME: &str = "model.lock";

const HEADING: &str = "# What each fetched file has to be; a file that differs is refused. Written by torchmesh at the first fetch: keep it with model.toml.\n\
    # To take what a source has now, remove the version's entry.\n\n";

/// A file's content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Pin {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What a version was when it was fetched first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// The version.
    pub version: u64,
    /// Where it came from, as the manifest has it.
    pub url: String,
    /// Which files were asked for, as the manifest has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<String>,
    /// The commit that the revision stood for, on a hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its files.
    pub files: BTreeMap<String, Pin>,
}

impl Locked {
    /// Whether it speaks of what the source asks for now.
    pub fn is_of(&self, source: &Source) -> bool {
        self.version == source.version.get() && self.url == source.address.to_string() && self.wanted == source.wanted()
    }
}

/// Every version's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// In rising order.
    #[serde(default)]
    version: Vec<Locked>,
}

impl Lock {
    /// Reads a lock file; a missing one is empty.
    pub fn read(path: &Path) -> Result<Self, FetchError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(FetchError::Lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(FetchError::Lock(format!("cannot be read: {error}"))),
        }
    }

    /// Reads the text of a lock file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let pins = lock.version.iter().flat_map(|locked| &locked.files);
        let bad = pins.into_iter().find(|(name, pin)| !is_sha256(&pin.sha256) || !crate::pattern::is_plain(name));
        bad.map_or(Ok(lock.clone()), |(name, _)| Err(format!("{name:?} is not a file name with 64 lower-case hexadecimal digits")))
    }

    /// What the source's version was, if it was fetched as it is asked for now.
    pub fn of(&self, source: &Source) -> Option<&Locked> {
        self.version.iter().find(|locked| locked.is_of(source))
    }

    /// The same with another version's entry.
    #[must_use]
    pub fn with(mut self, locked: Locked) -> Self {
        self.version.retain(|other| other.version != locked.version);
        self.version.push(locked);
        self.version.sort_by_key(|locked| locked.version);
        self
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let draft = path.with_extension("lock.draft");
        fs::write(&draft, format!("{HEADING}{text}"))?;
        fs::rename(draft, path)
    }
}

/// Whether the text is 64 lower-case hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::source;

    fn locked(source: &Source) -> Locked {
        let pin = Pin { bytes: 3, sha256: "a".repeat(64) };
        Locked {
            version: source.version.get(),
            url: source.address.to_string(),
            wanted: source.wanted(),
            commit: Some("c0ffee".into()),
            files: [("1_Pooling/config.json".to_owned(), pin)].into(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_only_for_what_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let (first, second) = (source("url = 'hf://a/b'"), source("url = 's3://c/d'\nversion = 2"));
        assert_eq!(Lock::read(&path).unwrap(), Lock::default());
        Lock::default().with(locked(&second)).with(locked(&first)).write(&path).unwrap();
        let lock = Lock::read(&path).unwrap();
        assert_eq!(lock.of(&first), Some(&locked(&first)));
        assert_eq!(lock.of(&second), Some(&locked(&second)));
        assert_eq!(lock.of(&source("url = 'hf://a/other'")), None);
        assert_eq!(lock.of(&source("url = 'hf://a/b'\nfiles = ['*.pt']")), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_that_makes_no_sense_is_refused_and_not_passed_over() {
        let entry = |name: &str, sha: &str| {
            format!("[[version]]\nversion = 1\nurl = 'x'\n[version.files]\n'{name}' = {{ bytes = 1, sha256 = '{sha}' }}")
        };
        assert!(Lock::parse(&entry("model.pt", &"0".repeat(64))).is_ok());
        for bad in
            ["[", "versions = 1", &entry("model.pt", "12"), &entry("../model.pt", &"0".repeat(64)), &entry("model.pt", &"A".repeat(64))]
        {
            assert!(Lock::parse(bad).is_err(), "{bad}");
        }
    }
}
