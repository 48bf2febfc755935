//! The table `batches`.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use torchmesh_fetch::Address;
use torchmesh_runtime::config::{ByteSize, Section};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSettings {
    /// `batches.folder`: where files and batches are. Gateways that share it share the batches. Without it there are none.
    pub folder: Option<PathBuf>,
    /// `batches.store`: an object store that the contents of files are in, `s3://BUCKET/FOLDER`, `gs://…` or `az://…`. Default none: they are in the folder.
    pub store: Option<Url>,
    /// `batches.max_file`: the largest file. Default 200MiB.
    pub max_file: u64,
    /// `batches.max_lines`: the most lines of a batch. Default 50000.
    pub max_lines: usize,
    /// `batches.max_files`: the most files of a tenant. Default 1000.
    pub max_files: usize,
    /// `batches.max_open`: the most batches of a tenant that are not over. Default 100.
    pub max_open: usize,
    /// `batches.at_once`: calls that this gateway makes at once for all batches together. Default 16.
    pub at_once: usize,
    /// `batches.line_timeout`: how long one call may take. Default 10m.
    pub line_timeout: Duration,
    /// `batches.keep`: files and batches that are older are removed. Default 30 days.
    pub keep: Duration,
}

impl BatchSettings {
    /// Reads the table.
    pub fn read(s: &mut Section) -> Self {
        s.section("batches", |s| {
            let max_lines = s.or("max_lines", 50_000);
            s.check(max_lines > 0, "max_lines", "must be at least 1");
            let at_once = s.or("at_once", 16);
            s.check((1..=1024).contains(&at_once), "at_once", "must be 1 to 1024");
            let keep = s.or("keep", Duration::from_secs(30 * 24 * 3600));
            s.check(keep >= Duration::from_secs(2 * 24 * 3600), "keep", "must be at least 48h: a batch may take a day");
            let folder = s.optional("folder");
            let store = s.optional::<String>("store").and_then(|store| match Address::parse(&store) {
                Ok(Address::Objects(url)) => Some(url),
                Ok(_) => problem(s, "must be s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or az://CONTAINER/FOLDER"),
                Err(why) => problem(s, &why),
            });
            s.check(store.is_none() || folder.is_some(), "store", "holds what is in the files of batches.folder, and there is no folder");
            Self {
                folder,
                store,
                max_file: s.or("max_file", ByteSize::mib(200)).0 as u64,
                max_files: s.or("max_files", 1000),
                max_open: s.or("max_open", 100),
                line_timeout: s.or("line_timeout", Duration::from_secs(600)),
                max_lines,
                at_once,
                keep,
            }
        })
    }
}

fn problem(s: &Section, why: &str) -> Option<Url> {
    s.problem("store", why);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BatchSettings, String> {
        Section::read_all(text.parse().unwrap(), BatchSettings::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_store_is_an_object_store_beside_a_folder() {
        assert!(read("").unwrap().store.is_none());
        assert_eq!(read("[batches]\nfolder = 'b'\nstore = 's3://bucket/mesh'").unwrap().store.unwrap().as_str(), "s3://bucket/mesh");
        assert!(read("[batches]\nstore = 's3://bucket/mesh'").unwrap_err().contains("no folder"));
        for wrong in ["https://host/x/", "s3://", "bucket", "s3://key:hunter2@bucket/x"] {
            let report = read(&format!("[batches]\nfolder = 'b'\nstore = '{wrong}'")).unwrap_err();
            assert!(report.contains("batches.store") && !report.contains("hunter2"), "{report}");
        }
    }
}
