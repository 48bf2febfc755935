//! The folder that pipelines are kept in: `NAME/VERSION.toml`, one file for each version.

use std::{fs, io, path::Path};

use torchmesh_api::ids::{ModelName, ModelVersion};

/// A pipeline longer than this is none.
const LONGEST: u64 = 1 << 20;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which pipeline.
    pub name: ModelName,
    /// Which version.
    pub version: ModelVersion,
    /// The file's text, or why there is none.
    pub text: Result<String, String>,
}

/// Every version that is there, in order. What has no name that a model can have is passed over, hidden files among it.
pub fn scan(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| ModelName::parse(name.to_str()?).ok());
        let Some(name) = name.filter(|_| path.is_dir()) else { continue };
        for file in fs::read_dir(&path)? {
            let file = file?.path();
            let is_toml = file.extension().is_some_and(|ending| ending == "toml");
            let version = file.file_stem().and_then(|stem| ModelVersion::parse(stem.to_str()?));
            let Some(version) = version.filter(|_| is_toml) else { continue };
            found.push(Found { name: name.clone(), version, text: read(&file) });
        }
    }
    found.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
    Ok(found)
}

fn read(file: &Path) -> Result<String, String> {
    let told = |error: io::Error| format!("the file cannot be read: {error}");
    if fs::metadata(file).map_err(told)?.len() > LONGEST {
        return Err(format!("the file is longer than {LONGEST} bytes"));
    }
    fs::read_to_string(file).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_files_and_anything_else_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        };
        for path in ["judge/10.toml", "judge/2.toml", "judge/notes.md", "judge/x.toml", ".git/1.toml", "other/1.toml", "1.toml"] {
            write(path);
        }
        let found = scan(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|found| format!("{}@{}", found.name, found.version)).collect();
        assert_eq!(names, ["judge@2", "judge@10", "other@1"]);
        assert_eq!(found[0].text, Ok("text".to_owned()));
    }
}
