//! The answers of a batch as they come: lines of two files, those that went well and those that did not.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use serde::Deserialize;

/// A file of answers, which is added to.
#[derive(Debug)]
pub(super) struct Answers {
    file: File,
    dirty: bool,
}

#[derive(Deserialize)]
struct Given {
    custom_id: String,
}

impl Answers {
    /// Opens it where it ends: with what is there already, the ids of which go into `done`. A line that was cut by the death of whoever wrote it is taken away.
    pub(super) fn open(path: &Path, done: &mut HashSet<String>) -> io::Result<(Self, usize)> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let (mut whole, mut count, mut line) = (0, 0, Vec::new());
        let mut reader = BufReader::new(&file);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            let given = serde_json::from_slice::<Given>(&line).ok().filter(|_| line.ends_with(b"\n"));
            let Some(given) = given else { break };
            whole += length as u64;
            count += usize::from(done.insert(given.custom_id));
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        Ok((Self { file, dirty: false }, count))
    }

    /// Adds a line.
    pub(super) fn add(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.dirty = true;
        self.file.write_all(&line)
    }

    /// What was added survives whatever happens from here on.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) { self.file.sync_data() } else { Ok(()) }
    }

    /// Its size.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_taken_away_and_what_is_whole_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part");
        std::fs::write(&path, "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n{\"custom_id\":\"c\"").unwrap();
        let mut done = HashSet::new();
        let (mut answers, count) = Answers::open(&path, &mut done).unwrap();
        assert_eq!((count, done.len(), done.contains("c")), (2, 2, false));
        answers.add(b"{\"custom_id\":\"d\"}".to_vec()).unwrap();
        answers.sync().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n{\"custom_id\":\"d\"}\n");
        assert_eq!(answers.bytes().unwrap(), text.len() as u64);
    }
}
