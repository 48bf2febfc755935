//! Reading a part of a file, never more than it has.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::WeightsError;

/// The longest text (JSON, Jinja) that is read, in bytes. The largest tokenizers have some 35 MB.
const LONGEST_TEXT: u64 = 1 << 28;

/// A file that is read at chosen places.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let file = File::open(path).map_err(|source| WeightsError::file(path, source))?;
        let about = file.metadata().map_err(|source| WeightsError::file(path, source))?;
        if !about.is_file() {
            return Err(WeightsError::form(path, "is not a file"));
        }
        Ok(Self { path: path.to_owned(), file, length: about.len() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// In bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn wrong(&self, problem: impl Into<String>) -> WeightsError {
        WeightsError::form(&self.path, problem)
    }

    /// The `length` bytes from `at` on. What the file does not have is refused before memory is taken for it.
    pub(crate) fn read(&self, at: u64, length: u64) -> Result<Vec<u8>, WeightsError> {
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(self.wrong(format!("ends after {} bytes; bytes {at} to {} are asked for", self.length, at.saturating_add(length))));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| self.wrong("is too large for this machine"))?];
        self.file.read_exact_at(&mut bytes, at).map_err(|source| WeightsError::file(&self.path, source))?;
        Ok(bytes)
    }
}

/// A whole text file.
pub(crate) fn read_text(path: &Path) -> Result<String, WeightsError> {
    let source = Source::open(path)?;
    if source.length() > LONGEST_TEXT {
        return Err(source.wrong(format!("has {} bytes; the most that is read is {LONGEST_TEXT}", source.length())));
    }
    let bytes = source.read(0, source.length())?;
    String::from_utf8(bytes).map_err(|_| WeightsError::form(path, "is not UTF-8"))
}

/// A whole text file, or `None` where there is none.
pub(crate) fn read_text_if_there(path: &Path) -> Result<Option<String>, WeightsError> {
    match read_text(path) {
        Err(WeightsError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
