//! Where a model's fetched versions stand on the disk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    Source,
    error::FetchError,
    lock::{self, Lock, Locked},
};

/// In a version's folder: where it came from and what its files were.
const RECORD: &str = ".fetched";

/// One model's manifest folder and its part of the cache.
#[derive(Clone, Debug)]
pub struct Shelf {
    manifest: PathBuf,
    cache: PathBuf,
}

impl Shelf {
    /// `manifest` is the folder of `model.toml`, where `model.lock` is; `cache` is a folder for this model alone, made when it is needed.
    pub fn new(manifest: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { manifest: manifest.into(), cache: cache.into() }
    }

    /// The folder of an installed version.
    pub fn version(&self, source: &Source) -> PathBuf {
        self.cache.join(source.version.to_string())
    }

    /// Whether the version is installed as the source has it: from the same address, with the files that it is pinned to.
    pub fn has(&self, source: &Source) -> bool {
        let Some(record) = self.record(source) else { return false };
        let lock = Lock::read(&self.lock_file()).unwrap_or_default();
        let same = |name: &String, sha256: &str| record.files.get(name).is_some_and(|pin| pin.sha256 == sha256);
        let as_locked = lock.of(source).is_none_or(|locked| locked.files.iter().all(|(name, pin)| same(name, &pin.sha256)));
        as_locked && source.pins.iter().all(|(name, sha256)| same(name, sha256))
    }

    /// What was installed for the source, if it is of the same address.
    pub(crate) fn record(&self, source: &Source) -> Option<Locked> {
        let record = Lock::read(&self.version(source).join(RECORD)).ok()?;
        record.of(source).cloned()
    }

    /// The lock file beside the manifest.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.manifest.join(lock::FILE_NAME)
    }

    /// Where the version is put together.
    pub(crate) fn draft(&self, source: &Source) -> PathBuf {
        self.cache.join(format!(".{}.partial", source.version))
    }

    /// Makes the cache, and waits until no other process fetches this model.
    pub(crate) fn lock(&self) -> Result<File, FetchError> {
        let open = || {
            fs::create_dir_all(&self.cache)?;
            let file = File::options().create(true).truncate(false).write(true).open(self.cache.join(".lock"))?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(FetchError::disk("the cache of models cannot be written"))
    }

    /// Puts the finished draft in the version's place, at one stroke.
    pub(crate) fn install(&self, source: &Source, locked: &Locked) -> Result<(), FetchError> {
        let (draft, place) = (self.draft(source), self.version(source));
        let put = || {
            Lock::default().with(locked.clone()).write(&draft.join(RECORD))?;
            exchange(&draft, &place)
        };
        put().map_err(FetchError::disk(format!("version {} cannot be put in its place", source.version)))
    }
}

/// `new` becomes `place`; what was there is removed.
fn exchange(new: &Path, place: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    if !place.exists() {
        return fs::rename(new, place);
    }
    if renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE).is_ok() {
        return fs::remove_dir_all(new);
    }
    // A file system that cannot exchange (NFS): for a moment there is neither, and a watcher takes a version to be gone only at its second look.
    let old = new.with_extension("old");
    fs::rename(place, &old)?;
    fs::rename(new, place)?;
    fs::remove_dir_all(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lock::Pin, source::tests::source};

    fn locked(source: &Source, sha256: &str) -> Locked {
        let files = [("model.pt".to_owned(), Pin { bytes: 1, sha256: sha256.repeat(64) })].into();
        Locked { version: 1, url: source.address.to_string(), wanted: source.wanted(), commit: None, files }
    }

    #[test]
    fn a_new_version_takes_the_place_of_the_old_one_and_is_known_by_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path(), folder.path().join("cache"));
        let source = source("url = 's3://a/b'");
        let _held = shelf.lock().unwrap();
        for content in ["old", "new"] {
            fs::create_dir(shelf.draft(&source)).unwrap();
            fs::write(shelf.draft(&source).join("model.pt"), content).unwrap();
            shelf.install(&source, &locked(&source, "a")).unwrap();
            assert_eq!(fs::read_to_string(shelf.version(&source).join("model.pt")).unwrap(), content);
            assert!(!shelf.draft(&source).exists());
        }
        assert!(shelf.has(&source));
        assert!(!shelf.has(&self::source("url = 's3://a/other'")));
        let pinned = |digit: &str| self::source(&format!("url = 's3://a/b'\nsha256 = {{ 'model.pt' = '{}' }}", digit.repeat(64)));
        assert!(shelf.has(&pinned("a")) && !shelf.has(&pinned("b")));
        Lock::default().with(locked(&source, "c")).write(&shelf.lock_file()).unwrap();
        assert!(!shelf.has(&source), "the lock file asks for another content");
    }
}
