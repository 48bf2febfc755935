//! What an earlier attempt has left of a version, and what of it is still of use.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::store::{Listing, RemoteFile};

/// In the draft's folder: what is being fetched.
const PLAN: &str = ".plan";
/// The end of the name of a file that is not whole yet.
const PART: &str = ".part";

/// What is fetched into a draft: files that differ from it are of another fetch.
#[derive(Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Plan {
    url: String,
    commit: Option<String>,
    files: Vec<Planned>,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Planned {
    name: String,
    bytes: Option<u64>,
    tag: Option<String>,
}

/// The draft of a version.
#[derive(Debug)]
pub(crate) struct Partial {
    folder: PathBuf,
}

impl Partial {
    /// Takes up the draft in `folder`: what is of other files than those listed now is removed. A file that its server does not tell apart from
    /// another of the same name (by a tag, a hash or a commit) is begun again.
    pub(crate) fn take_up(folder: PathBuf, url: &str, listing: &Listing) -> io::Result<Self> {
        let planned = |file: &RemoteFile| Planned { name: file.name.clone(), bytes: file.bytes, tag: file.tag.clone() };
        let plan = Plan { url: url.to_owned(), commit: listing.commit.clone(), files: listing.files.iter().map(planned).collect() };
        let before = fs::read(folder.join(PLAN)).ok().and_then(|text| serde_json::from_slice::<Plan>(&text).ok()).unwrap_or_default();
        let made = Self { folder };
        if (&before.url, &before.commit) == (&plan.url, &plan.commit) {
            let told_apart = |file: &Planned| file.tag.is_some() || plan.commit.is_some();
            for stale in before.files.iter().filter(|file| !plan.files.contains(file) || !told_apart(file)) {
                let _ = fs::remove_file(made.whole(&stale.name));
                let _ = fs::remove_file(made.part(&stale.name));
            }
        } else {
            let _ = fs::remove_dir_all(&made.folder);
        }
        fs::create_dir_all(&made.folder)?;
        fs::write(made.folder.join(PLAN), serde_json::to_vec(&plan)?)?;
        for folder in listing.files.iter().filter_map(|file| made.whole(&file.name).parent().map(Path::to_owned)) {
            fs::create_dir_all(folder)?;
        }
        Ok(made)
    }

    /// A file that is there in full.
    pub(crate) fn whole(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file that is on its way.
    pub(crate) fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{PART}"))
    }

    /// How much of a file is there.
    pub(crate) fn here(&self, name: &str) -> u64 {
        let length = |path: PathBuf| fs::metadata(path).map(|metadata| metadata.len());
        length(self.whole(name)).or_else(|_| length(self.part(name))).unwrap_or(0)
    }

    /// Nothing is left to do but to install it.
    pub(crate) fn finish(&self) -> io::Result<()> {
        fs::remove_file(self.folder.join(PLAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(tag: Option<&str>, commit: Option<&str>) -> Listing {
        let file = |name: &str, tag: Option<&str>| RemoteFile { name: name.into(), bytes: Some(9), tag: tag.map(Into::into), sha256: None };
        Listing { commit: commit.map(Into::into), files: vec![file("a/model.pt", tag), file("config.json", Some("same"))] }
    }

    /// How much is left of two files of an interrupted fetch.
    fn left(url: &str, then: &Listing, now: &Listing) -> [u64; 2] {
        let folder = tempfile::tempdir().unwrap();
        let draft = folder.path().join("draft");
        let partial = Partial::take_up(draft.clone(), "s3://a/b", then).unwrap();
        fs::write(partial.part("a/model.pt"), "half").unwrap();
        fs::write(partial.whole("config.json"), "{}").unwrap();
        let partial = Partial::take_up(draft, url, now).unwrap();
        ["a/model.pt", "config.json"].map(|name| partial.here(name))
    }

    #[test]
    fn only_what_is_of_the_same_files_is_kept() {
        let then = listing(Some("x"), None);
        assert_eq!(left("s3://a/b", &then, &then), [4, 2]);
        assert_eq!(left("s3://a/b", &then, &listing(Some("y"), None)), [0, 2], "the file changed");
        assert_eq!(left("s3://a/other", &then, &then), [0, 0]);
        assert_eq!(left("s3://a/b", &listing(None, None), &listing(None, None)), [0, 2], "nothing tells it from another");
        assert_eq!(left("s3://a/b", &listing(None, Some("c0")), &listing(None, Some("c0"))), [4, 2]);
        assert_eq!(left("s3://a/b", &listing(None, Some("c0")), &listing(None, Some("c1"))), [0, 0]);
    }
}
