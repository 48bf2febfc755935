//! A described model becomes a folder of the repository: whole or not at all.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::error::{Failure, Result, USAGE};

/// Where a file of a version comes from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A copy of this file.
    Copy(PathBuf),
    /// A link to this file.
    Link(PathBuf),
    /// A member of this archive.
    Member(PathBuf, String),
}

/// Puts a model into a repository: its manifest, and each version's files by name. A model that is there already is left alone.
pub(crate) fn install(models: &Path, name: &str, manifest: &str, versions: &[(u64, Vec<(String, Content)>)]) -> Result<()> {
    let place = models.join(name);
    if place.exists() {
        return Err(
            Failure::new(USAGE, format!("{} is there already", place.display())).help("give another name with --name, or remove it")
        );
    }
    // Workers pass over folders that begin with a dot.
    let draft = models.join(format!(".{name}.import-{}", std::process::id()));
    let made = write(&draft, manifest, versions).and_then(|()| fs::rename(&draft, &place));
    made.map_err(|error| {
        // What was begun goes; why it could not be ended is what matters.
        let _ = fs::remove_dir_all(&draft);
        Failure::file("write the model", &place, &error)
    })
}

fn write(draft: &Path, manifest: &str, versions: &[(u64, Vec<(String, Content)>)]) -> io::Result<()> {
    fs::create_dir_all(draft)?;
    fs::write(draft.join("model.toml"), manifest)?;
    for (version, files) in versions {
        let folder = draft.join(version.to_string());
        fs::create_dir(&folder)?;
        for (name, content) in files {
            put(&folder.join(name), content)?;
        }
    }
    Ok(())
}

fn put(path: &Path, content: &Content) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match content {
        Content::Copy(from) => fs::copy(from, path).map(drop),
        Content::Link(from) => symlink(fs::canonicalize(from)?, path),
        Content::Member(archive, member) => {
            let mut archive = zip::ZipArchive::new(File::open(archive)?)?;
            io::copy(&mut archive.by_name(member)?, &mut File::create_new(path)?).map(drop)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_model_is_not_left_behind_and_another_is_not_overwritten() {
        let models = tempfile::tempdir().unwrap();
        let source = models.path().join("source.pt");
        fs::write(&source, "weights").unwrap();
        let version = |from: &str| vec![(3, vec![("model.pt".to_owned(), Content::Copy(models.path().join(from)))])];
        assert!(install(models.path(), "m", "task = 'tensor'", &version("absent.pt")).is_err());
        assert_eq!(fs::read_dir(models.path()).unwrap().count(), 1, "only the source is there");
        install(models.path(), "m", "task = 'tensor'", &version("source.pt")).unwrap();
        assert_eq!(fs::read_to_string(models.path().join("m/3/model.pt")).unwrap(), "weights");
        let again = install(models.path(), "m", "", &version("source.pt")).unwrap_err();
        assert!(again.problem.contains("is there already"), "{again}");
        install(models.path(), "linked", "", &[(1, vec![("model.pt".to_owned(), Content::Link(source.clone()))])]).unwrap();
        assert!(models.path().join("linked/1/model.pt").is_symlink());
    }
}
