//! What the files of a version look like from outside, so that a change to any of them is seen without reading them.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    time::SystemTime,
};

use torchmesh_fetch::lock;

/// How deep a version's folder is looked into for changes.
const DEPTH: usize = 3;

/// What a version's files looked like: their names, lengths and times of change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::models) struct Stamp(pub(in crate::models) u64);

impl Stamp {
    /// Of what lies in a model's folder beside its versions; each version's stamp changes with it.
    pub(super) fn of_model(folder: &Path) -> Self {
        Self(stamp_of_files(folder, 1))
    }

    /// Of a version of this model.
    pub(super) fn of_version(self, folder: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.0, stamp_of_files(folder, DEPTH)).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What a folder's files look like, `depth` folders deep. Files that come and go meanwhile make another stamp, which is all that is needed.
fn stamp_of_files(folder: &Path, depth: usize) -> u64 {
    let mut files = Vec::new();
    collect(folder, depth, &mut files);
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64, Option<SystemTime>)>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && depth > 1 => collect(&path, depth - 1, files),
            // What a fetch writes down says nothing about what is served.
            Ok(_) if path.file_name().is_some_and(|name| name == lock::FILE_NAME) => {}
            Ok(metadata) if metadata.is_file() => files.push((path, metadata.len(), metadata.modified().ok())),
            _ => {}
        }
    }
}
