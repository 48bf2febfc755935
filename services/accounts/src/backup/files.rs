//! Files that are whole or not there.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::{Failure, Result, failure};
use crate::store::lock_file;

/// For the owner alone: there are addresses and hashes in it.
const MODE: u32 = 0o600;

pub(super) fn told(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure(format!("{}: {error}", path.display()))
}

/// A name with something behind it.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

pub(super) fn refuse_existing(path: &Path, why: &str) -> Result<()> {
    if path.exists() { failure(format!("{} is there already; {why}", path.display())) } else { Ok(()) }
}

/// Whether there is a file with something in it.
pub(super) fn has_content(path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(told(path)(error)),
    }
}

/// An empty file, in the place of what an earlier attempt has left.
pub(super) fn create_empty(path: &Path) -> Result<File> {
    File::options().write(true).create(true).truncate(true).mode(MODE).open(path).map_err(told(path))
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let (mut source, mut target) = (File::open(from).map_err(told(from))?, create_empty(to)?);
    io::copy(&mut source, &mut target).map_err(told(to))?;
    Ok(())
}

/// On the disk first, then under its name.
pub(super) fn rename(draft: &Path, to: &Path) -> Result<()> {
    let done = || {
        File::open(draft)?.sync_all()?;
        fs::rename(draft, to)?;
        File::open(to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    done().map_err(told(to))
}

/// That no process serves from this database, until what comes back is dropped.
pub(super) fn lock(database: &Path) -> Result<File> {
    let path = lock_file(database);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(told(folder))?;
    }
    let file = File::options().create(true).append(true).mode(MODE).open(&path).map_err(told(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => failure(format!("the accounts run, and have {}; stop them first", path.display())),
        Err(fs::TryLockError::Error(error)) => Err(told(&path)(error)),
    }
}
