//! Files that lines are added to, also by a process that is killed while it does.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

/// A file that lines are added to.
#[derive(Debug)]
pub struct Lines {
    file: File,
    length: u64,
}

impl Lines {
    /// Opens it, making it if it is not there. A last line that has no end was never whole: it is taken off.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let length = whole(&mut file)?;
        if file.metadata()?.len() != length {
            file.set_len(length)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { file, length })
    }

    /// How long it is, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds whole lines, all or none, and waits until they are durable.
    pub fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        let added = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        if added.is_err() {
            // What cannot be taken back now is not whole, and is taken off when the file is opened again.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return added;
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// Where the last whole line ends.
fn whole(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        file.take(end - begin).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|&byte| byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn half_a_line_is_taken_off_and_the_next_one_begins_where_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        for (before, after) in [("", "new\n"), ("a\nb\n", "a\nb\nnew\n"), ("a\nhal", "a\nnew\n"), ("half", "new\n")] {
            fs::write(&path, before).unwrap();
            Lines::open(&path).unwrap().add(b"new\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after, "{before:?}");
        }
        let long = format!("a\n{}", "x".repeat(200_000));
        fs::write(&path, long).unwrap();
        assert_eq!(Lines::open(&path).unwrap().length(), 2);
    }
}
