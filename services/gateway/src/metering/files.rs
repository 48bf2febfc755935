//! The sink that is built in: files with a line of JSON for each event.
//!
//! `usage.jsonl` is written to; when it has grown to its size it becomes `usage-NUMBER.jsonl`, the numbers rising. A line may come twice after a process was killed:
//! whoever reads goes by its id.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use torchmesh_api::usage::v1::UsageEvent;
use torchmesh_ledger::{lines::Lines, usage::Line};

use super::ship::Sink;

/// See the module.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    rotate_bytes: u64,
    current: Option<Lines>,
}

impl Files {
    /// Files in this folder, which is made.
    pub fn open(folder: PathBuf, rotate_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let current = Lines::open(&current(&folder))?;
        Ok(Self { folder, rotate_bytes, current: Some(current) })
    }

    fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|current| current.length() >= self.rotate_bytes) {
            self.current = None;
            fs::rename(current(&self.folder), self.folder.join(format!("usage-{:06}.jsonl", self.last_number()? + 1)))?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Lines::open(&current(&self.folder))?),
        };
        current.add(lines)
    }

    fn last_number(&self) -> io::Result<u64> {
        let mut last = 0;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = |name: &str| name.strip_prefix("usage-")?.strip_suffix(".jsonl")?.parse::<u64>().ok();
            last = last.max(name.to_str().and_then(number).unwrap_or_default());
        }
        Ok(last)
    }
}

fn current(folder: &Path) -> PathBuf {
    folder.join("usage.jsonl")
}

impl Sink for Files {
    const NAME: &str = "files";

    async fn take(&mut self, events: &[UsageEvent]) -> Result<(), String> {
        let mut lines = Vec::with_capacity(events.len() * 512);
        for event in events {
            // Texts and numbers can always be written.
            let _ = serde_json::to_writer(&mut lines, &Line::of(event));
            lines.push(b'\n');
        }
        self.add(&lines).map_err(|error| format!("{}: {error}", self.folder.display()))
    }
}
