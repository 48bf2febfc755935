//! The model repository on disk: `<models_dir>/<name>/model.toml` and `<models_dir>/<name>/<version>/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use torchmesh_api::ids::{ModelName, ModelVersion};

use crate::manifest::{FILE_NAME, Manifest};

/// A model's folder.
#[derive(Debug)]
pub struct Found {
    /// The folder's name.
    pub name: ModelName,
    /// The manifest, or the reason (every mistake) why there is none.
    pub manifest: Result<Arc<Manifest>, String>,
    /// The version folders, in rising order.
    pub versions: Vec<FoundVersion>,
}

/// A version's folder.
#[derive(Debug)]
pub struct FoundVersion {
    /// The folder's name.
    pub version: ModelVersion,
    /// Where it is.
    pub folder: PathBuf,
}

/// Looks through the repository. Folders that begin with a dot are passed over; one whose name no model can have is logged.
pub fn scan(models_dir: &Path) -> io::Result<Vec<Found>> {
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
    let manifest = match fs::read_to_string(folder.join(FILE_NAME)) {
        Ok(text) => Manifest::parse(&text).map(Arc::new).map_err(|problems| format!("{name}/{FILE_NAME} is wrong\n{problems}")),
        Err(error) => Err(format!("{name}/{FILE_NAME} cannot be read: {error}")),
    };
    let mut versions: Vec<_> = folders(folder)?
        .into_iter()
        .filter_map(|text| Some(FoundVersion { version: ModelVersion::parse(&text)?, folder: folder.join(text) }))
        .collect();
    versions.sort_by_key(|found| found.version);
    Ok(Found { name, manifest, versions })
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let versions: Vec<_> = found[1].versions.iter().map(|found| found.version.get()).collect();
        assert_eq!(versions, [2, 10]);
        assert!(found[1].manifest.is_ok());
        assert!(found[0].manifest.as_ref().unwrap_err().contains("a/model.toml cannot be read"));
    }

    #[test]
    fn a_wrong_manifest_names_its_file_and_every_mistake() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("m/1")).unwrap();
        fs::write(dir.path().join("m").join(FILE_NAME), "task = 'embed'\nmax_tokens = 1\npoling = 'mean'").unwrap();
        let reason = scan(dir.path()).unwrap().remove(0).manifest.unwrap_err();
        for part in ["m/model.toml", "max_tokens: must be from 8", "poling: is not a setting"] {
            assert!(reason.contains(part), "{part:?} is missing in {reason}");
        }
    }
}
