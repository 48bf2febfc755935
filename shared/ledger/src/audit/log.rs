//! The files of an audit log.

use std::{
    collections::HashSet,
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::record::{Call, Chain, Record};
use crate::lines::Lines;

/// Where the files of a folder are.
#[derive(Debug, Clone)]
pub struct Places(PathBuf);

#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    hash: String,
}

impl Places {
    /// Those of this folder.
    pub fn of(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The file whose first record has this number.
    pub fn file(&self, first: u64) -> PathBuf {
        self.0.join(format!("audit-{first:012}.jsonl"))
    }

    /// The number of a file's first record, by its name.
    pub fn first_of(file: &Path) -> Option<u64> {
        file.file_name()?.to_str()?.strip_prefix("audit-")?.strip_suffix(".jsonl")?.parse().ok()
    }

    fn head(&self) -> PathBuf {
        self.0.join("audit.head")
    }

    /// The numbers of the files' first records, in their order.
    pub fn files(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            numbers.extend(Self::first_of(&entry?.path()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What the head says; `None` where there is none.
    ///
    /// Errors: it cannot be read, or has another form.
    pub fn read_head(&self) -> io::Result<Option<Chain>> {
        let text = match fs::read_to_string(self.head()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no head of an audit log", self.head().display()));
        let Head { number, hash } = serde_json::from_str(&text).map_err(|_| wrong())?;
        Ok(Some(Chain { number, hash: hash.parse().map_err(|_| wrong())? }))
    }

    fn write_head(&self, chain: Chain) -> io::Result<()> {
        let head = Head { number: chain.number, hash: chain.hash.to_string() };
        let part = self.0.join("audit.head.part");
        fs::write(&part, serde_json::to_string(&head)? + "\n")?;
        fs::rename(part, self.head())
    }
}

/// An audit log that records are added to.
#[derive(Debug)]
pub struct Log {
    places: Places,
    rotate_bytes: u64,
    chain: Chain,
    file: Lines,
    /// Events of the last records, which may come again after a crash.
    known: HashSet<String>,
}

/// How many of the last records are looked at for what comes again.
const KNOWN: usize = 4096;

impl Log {
    /// Opens the folder's log, making it if there is none; a file of `rotate_bytes` is followed by the next.
    pub fn open(folder: &Path, rotate_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let places = Places::of(folder);
        let files = places.files()?;
        let path = places.file(files.last().copied().unwrap_or(1));
        let file = Lines::open(&path)?;
        let (mut chain, mut known) = (Chain::default(), HashSet::new());
        for &first in files.iter().rev().take(2).rev() {
            last_records(&places.file(first), &mut chain, &mut known)?;
        }
        match places.read_head()? {
            // What was cut off is for `verify` to tell: the numbers go on behind it.
            Some(head) if head.number > chain.number => chain = head,
            // A process that was killed behind its last record has not written the head.
            head if head.map_or(0, |head| head.number) < chain.number => places.write_head(chain)?,
            _ => {}
        }
        Ok(Self { places, rotate_bytes, chain, file, known })
    }

    /// The last record.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Adds records, durably; those of events that were added by an earlier process are left out.
    ///
    /// Errors: they cannot be written; then none of them is.
    pub fn add<'a>(&mut self, calls: impl Iterator<Item = Call<'a>>) -> io::Result<()> {
        if self.file.length() >= self.rotate_bytes {
            self.file = Lines::open(&self.places.file(self.chain.number + 1))?;
        }
        let (mut chain, mut lines, mut again) = (self.chain, String::new(), false);
        for call in calls {
            if self.known.contains(&*call.event) {
                again = true;
            } else {
                lines.push_str(&chain.add(call));
            }
        }
        self.file.add(lines.as_bytes())?;
        self.chain = chain;
        if !again {
            // Behind what comes again there is only what is new.
            self.known.clear();
        }
        // A head that stays behind says less, and nothing that is wrong; the next one is tried again.
        let _ = self.places.write_head(chain);
        Ok(())
    }
}

fn last_records(path: &Path, chain: &mut Chain, known: &mut HashSet<String>) -> io::Result<()> {
    let lines: Vec<String> = BufReader::new(fs::File::open(path)?).lines().collect::<Result<_, _>>()?;
    if let Some(last) = lines.last()
        && let (Ok(record), Some((_, hash))) = (serde_json::from_str::<Record<'_>>(last), chain.with(last))
    {
        *chain = Chain { number: record.number, hash };
    }
    let events = lines.iter().rev().take(KNOWN).filter_map(|line| serde_json::from_str::<Record<'_>>(line).ok());
    known.extend(events.map(|record| record.call.event.into_owned()));
    Ok(())
}
