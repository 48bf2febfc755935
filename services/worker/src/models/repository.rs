//! The model repository on disk: `<models_dir>/<name>/model.toml` and `<models_dir>/<name>/<version>/`.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use torchmesh_api::ids::{ModelName, ModelVersion};

use crate::manifest::{FILE_NAME, Manifest, Published};

/// The version of a model whose folder is the published directory itself.
const ONLY_VERSION: &str = "1";
/// How deep a version's folder is looked into for changes.
const DEPTH: usize = 3;

/// A model's folder.
#[derive(Debug)]
pub(super) struct Found {
    /// The folder's name.
    pub(super) name: ModelName,
    /// The versions that are served, in rising order.
    pub(super) versions: Vec<FoundVersion>,
}

/// A version's folder.
#[derive(Debug)]
pub(super) struct FoundVersion {
    /// The folder's name.
    pub(super) version: ModelVersion,
    /// Where it is.
    pub(super) folder: PathBuf,
    /// The manifest, or the reason (every mistake) why there is none.
    pub(super) manifest: Result<Arc<Manifest>, String>,
    /// Changes with every file of the version and of the model.
    pub(super) stamp: Stamp,
}

/// What a version's files looked like: their names, lengths and times of change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp(pub(super) u64);

/// Looks through the repository. Folders that begin with a dot are passed over; one whose name no model can have is logged.
pub(super) fn scan(models_dir: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for name in folders(models_dir)? {
        match ModelName::parse(&name) {
            Ok(parsed) => found.push(look_into(parsed, &models_dir.join(&name))?),
            Err(_) if name.starts_with('.') => {}
            Err(error) => tracing::warn!(folder = name, %error, "a folder of the model repository is passed over"),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn look_into(name: ModelName, folder: &Path) -> io::Result<Found> {
    let version = |text: &String| Some((ModelVersion::parse(text)?, folder.join(text)));
    let mut places: Vec<_> = folders(folder)?.iter().filter_map(version).collect();
    if places.is_empty() && Published::read(folder).says_all() {
        places.extend(ModelVersion::parse(ONLY_VERSION).map(|version| (version, folder.to_owned())));
    }
    places.sort();
    let text = match fs::read_to_string(folder.join(FILE_NAME)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}/{FILE_NAME} cannot be read: {error}")),
    };
    let of_model = stamp_of_files(folder, 1);
    let versions = places.into_iter().map(|(version, folder)| {
        let manifest = text.as_ref().map_err(Clone::clone).and_then(|text| manifest(&name, text.as_deref(), &folder));
        let mut hasher = DefaultHasher::new();
        (of_model, stamp_of_files(&folder, DEPTH)).hash(&mut hasher);
        FoundVersion { version, folder, manifest, stamp: Stamp(hasher.finish()) }
    });
    let versions = served(versions.collect());
    Ok(Found { name, versions })
}

fn manifest(name: &ModelName, text: Option<&str>, folder: &Path) -> Result<Arc<Manifest>, String> {
    let published = Published::read(folder);
    let Some(text) = text.or_else(|| published.says_all().then_some("")) else {
        return Err(format!("{name}/{FILE_NAME} is missing: it says what the model is"));
    };
    Manifest::parse(text, &published).map(Arc::new).map_err(|problems| format!("{name}/{FILE_NAME} is wrong\n{problems}"))
}

/// The versions that the manifest's `versions` lets through; all of them while it is wrong, so that each can say why.
fn served(found: Vec<FoundVersion>) -> Vec<FoundVersion> {
    let all: BTreeSet<_> = found.iter().map(|found| found.version).collect();
    let is_served = |found: &FoundVersion| found.manifest.as_ref().map_or(true, |manifest| manifest.versions.has(found.version, &all));
    found.into_iter().filter(is_served).collect()
}

/// The names of the folders in a folder; links to folders count.
fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
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
            Ok(metadata) if metadata.is_file() => files.push((path, metadata.len(), metadata.modified().ok())),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(found: &Found) -> Vec<u64> {
        found.versions.iter().map(|found| found.version.get()).collect()
    }

    #[test]
    fn models_and_versions_are_found_in_order_and_the_rest_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["b/10", "b/2", "b/notes", "b/01", "a/1", ".cache/1", "not a model/1"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("b").join(FILE_NAME), "task = 'embed'").unwrap();
        fs::write(dir.path().join("stray"), "").unwrap();

        let found = scan(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(numbers(&found[1]), [2, 10]);
        assert!(found[1].versions[0].manifest.is_ok());
        assert!(found[0].versions[0].manifest.as_ref().unwrap_err().contains("a/model.toml is missing"));
        fs::write(dir.path().join("b").join(FILE_NAME), "task = 'embed'\nversions = 'latest'").unwrap();
        assert_eq!(numbers(&scan(dir.path()).unwrap()[1]), [10]);
    }

    #[test]
    fn a_wrong_manifest_names_its_file_and_every_mistake() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("m/1")).unwrap();
        fs::write(dir.path().join("m").join(FILE_NAME), "task = 'embed'\nmax_tokens = 1\npoling = 'mean'").unwrap();
        let reason = scan(dir.path()).unwrap().remove(0).versions.remove(0).manifest.unwrap_err();
        for part in ["m/model.toml", "max_tokens: must be from 8", "poling: is not a setting"] {
            assert!(reason.contains(part), "{part:?} is missing in {reason}");
        }
    }

    #[test]
    fn a_published_directory_is_a_model_of_one_version() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("m");
        fs::create_dir(&model).unwrap();
        fs::write(model.join("config.json"), r#"{"architectures": ["BertModel"]}"#).unwrap();
        fs::write(model.join("model.safetensors"), "").unwrap();
        let found = scan(dir.path()).unwrap().remove(0);
        assert_eq!(numbers(&found), [1]);
        assert_eq!(found.versions[0].folder, model);
        assert!(found.versions[0].manifest.is_ok());
    }

    #[test]
    fn a_stamp_changes_with_every_file_of_the_version_and_the_model_and_with_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["m/1/deep", "m/2"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let stamps = || scan(dir.path()).unwrap().remove(0).versions.iter().map(|found| found.stamp).collect::<Vec<_>>();
        let mut before = stamps();
        assert_eq!(before, stamps());
        for (file, changes) in [("m/1/model.pt", [true, false]), ("m/1/deep/part", [true, false]), ("m/model.toml", [true, true])] {
            fs::write(dir.path().join(file), "task = 'embed'").unwrap();
            let after = stamps();
            assert_eq!([before[0] != after[0], before[1] != after[1]], changes, "{file}");
            before = after;
        }
    }
}
