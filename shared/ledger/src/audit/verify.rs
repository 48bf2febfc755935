//! Whether an audit log is whole.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    log::Places,
    record::{Chain, Record},
};

/// A log in which nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Number of the first record that was looked at.
    pub first: u64,
    /// The last one.
    pub last: Chain,
    /// Whether it is known that nothing follows that was cut off: by the head, or by the file that follows.
    pub end_is_known: bool,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// In which file.
    pub file: PathBuf,
    /// In which line, from 1.
    pub line: usize,
    /// The number of the record.
    pub number: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: record {}: {}", self.file.display(), self.line, self.number, self.why)
    }
}

/// Goes through files of one log, in the order of their records. The first file may be any of the log's: what its first record follows is then taken as it says.
///
/// Errors of the outer result: a file cannot be read.
pub fn verify(files: &[PathBuf]) -> io::Result<Result<Whole, Broken>> {
    let mut chain: Option<Chain> = None;
    let (mut first, mut lines_of_last) = (0, 0);
    for path in files {
        let bytes = fs::read(path)?;
        lines_of_last = 0;
        for (at, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let broken = |number, why: String| Broken { file: path.clone(), line: at + 1, number, why };
            let before = match chain {
                Some(chain) => chain,
                None => match begin(line, Places::first_of(path)) {
                    Ok(before) => before,
                    Err(why) => return Ok(Err(broken(Places::first_of(path).unwrap_or(1), why))),
                },
            };
            if chain.is_none() {
                first = before.number + 1;
            }
            match follow(before, line) {
                Ok(now) => chain = Some(now),
                Err(why) => return Ok(Err(broken(before.number + 1, why))),
            }
            lines_of_last = at + 1;
        }
    }
    let last = chain.unwrap_or_default();
    let Some(path) = files.last() else { return Ok(Ok(Whole { first, last, end_is_known: false })) };
    Ok(match end(path, last)? {
        Ok(end_is_known) => Ok(Whole { first, last, end_is_known }),
        Err(why) => Err(Broken { file: path.clone(), line: lines_of_last + 1, number: last.number + 1, why }),
    })
}

fn record(line: &[u8]) -> Result<(&str, Record<'_>), String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end: the file was cut within it")?;
    // Byte for byte: what is no text must not be taken for the character that stands for such.
    let line = str::from_utf8(line).map_err(|error| format!("it cannot be read: {error}"))?;
    let record: Record<'_> = serde_json::from_str(line).map_err(|error| format!("it cannot be read: {error}"))?;
    if record.number == u64::MAX {
        return Err(format!("no log has come to the number {}", record.number));
    }
    Ok((line, record))
}

/// What the first record that is looked at follows, as it says itself; the file's name says which record it is.
fn begin(line: &[u8], named: Option<u64>) -> Result<Chain, String> {
    let (_, record) = record(line)?;
    if named.is_some_and(|named| named != record.number) {
        return Err(format!("it is missing; record {} stands in its place", record.number));
    }
    let hash = record.previous.parse().map_err(|_| "the hash of the record before is none".to_owned())?;
    let before = Chain { number: record.number.saturating_sub(1), hash };
    if before.number == 0 && before != Chain::default() {
        return Err("it is the first, and follows something".to_owned());
    }
    Ok(before)
}

fn follow(before: Chain, line: &[u8]) -> Result<Chain, String> {
    let (line, record) = record(line)?;
    let expected = before.number + 1;
    if record.number > expected {
        return Err(format!("it is missing; record {} stands in its place", record.number));
    }
    if record.number < expected {
        return Err(format!("record {} stands in its place: it was moved or put in", record.number));
    }
    let (now, told) = before.with(line).ok_or("it has no hash")?;
    if *record.previous != before.hash.to_string() {
        return Err("it does not follow the record before: one of the two was changed or put in".to_owned());
    }
    if now.hash != told {
        return Err("its hash is another: it was changed".to_owned());
    }
    Ok(now)
}

/// Whether it is known that the file's last record is its last.
fn end(path: &Path, last: Chain) -> io::Result<Result<bool, String>> {
    let places = Places::of(path.parent().unwrap_or(Path::new(".")));
    let followed = places.file(last.number + 1).is_file() && places.file(last.number + 1) != path;
    let Some(head) = places.read_head()? else { return Ok(Ok(followed)) };
    Ok(if followed || head == last || head.number < last.number {
        // The head is written behind the record: a process that is killed in between leaves it one step back.
        Ok(followed || head.number == last.number)
    } else if head.number == last.number {
        Err(format!("record {} is another than the head says: the log was written anew", last.number))
    } else {
        Err(format!("it is missing, and all to record {}: the end was cut off", head.number))
    })
}

#[cfg(test)]
mod tests;
