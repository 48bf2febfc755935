//! The files of pipelines: `NAME/VERSION.toml`, as the service has them in its folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use torchmesh_pipeline::spec::Target;

use crate::error::{Failure, Result, USAGE};

/// One version of a pipeline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: Target,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Every pipeline at these paths.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        look(path, &mut found)?;
    }
    if found.is_empty() {
        return Err(
            Failure::new(USAGE, "there is no pipeline").help("a pipeline is a file NAME/VERSION.toml, such as pipelines/judge/1.toml")
        );
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup();
    Ok(found)
}

fn look(path: &Path, found: &mut Vec<Found>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(|error| Failure::file("read", path, &error))? {
            let entry = entry.map_err(|error| Failure::file("read", path, &error))?.path();
            let is_toml = entry.extension().is_some_and(|ending| ending == "toml");
            if entry.is_dir() || is_toml {
                look(&entry, found)?;
            }
        }
        return Ok(());
    }
    let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    found.push(Found { name: name(path)?, path: path.to_owned(), text });
    Ok(())
}

/// What a file's place says of it.
fn name(path: &Path) -> Result<Target> {
    let whole = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str().map(str::to_owned)).unwrap_or_default();
    let (folder, version) = (part(whole.parent().and_then(Path::file_name)), part(whole.file_stem()));
    format!("{folder}@{version}").parse().map_err(|error: String| {
        let problem = format!("{} is no place for a pipeline: {error}", path.display());
        Failure::new(USAGE, problem).help("name its folder as the pipeline, and its file as the version: judge/1.toml")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_pipeline_in_each_file_and_its_place_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("judge")).unwrap();
        fs::write(folder.path().join("judge/2.toml"), "a").unwrap();
        fs::write(folder.path().join("judge/notes.md"), "b").unwrap();
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|found| found.name.to_string()).collect::<Vec<_>>(), ["judge@2"]);
        let wrong = folder.path().join("judge/new.toml");
        fs::write(&wrong, "").unwrap();
        assert!(find(&[wrong]).unwrap_err().help.unwrap().contains("judge/1.toml"));
        assert_eq!(find(&[]).unwrap_err().code, USAGE);
    }
}
