//! Putting a package and its sidecar beside the original, so that nobody ever sees a part of one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::CompileError;
use crate::engine::aoti::{PACKAGE, Sidecar};

/// Writes the sidecar of `package`.
pub(super) fn write_sidecar(sidecar: &Sidecar, package: &Path) -> Result<(), CompileError> {
    let path = Sidecar::path(package);
    let text = serde_json::to_vec_pretty(sidecar).map_err(|error| CompileError::new(error.to_string()))?;
    fs::write(&path, text).map_err(|error| CompileError::file(&path, &error))
}

/// Copies `draft` and its sidecar into the version's folder. A worker that looks in between finds a sidecar that does not describe the package,
/// and serves the original.
pub(super) fn install(sidecar: &Sidecar, draft: &Path, folder: &Path) -> Result<PathBuf, CompileError> {
    let package = folder.join(PACKAGE);
    write_sidecar(sidecar, draft)?;
    for (from, to) in [(Sidecar::path(draft), Sidecar::path(&package)), (draft.to_owned(), package.clone())] {
        replace(&from, &to).map_err(|error| CompileError::file(&to, &error))?;
    }
    Ok(package)
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(to.file_name().unwrap_or_default());
    let beside = to.with_file_name(hidden);
    let copied = fs::copy(from, &beside).and_then(|_| fs::File::open(&beside)?.sync_all()).and_then(|()| fs::rename(&beside, to));
    if copied.is_err() {
        // What is left of a full disk; that it may not go is of no use to say.
        let _ = fs::remove_file(&beside);
    }
    copied
}
