//! Where a reader is, in a file of its own: `NAME.cursor`.
//!
//! It is written over in place: what a killed process has written is there. Of a machine that loses its power, what was not synced may be lost, so that records come again: at most
//! [`UNSYNCED`] of them, and those that were read with them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::Position;

/// So many records may come again. A sync for each few records costs more than the records do.
const UNSYNCED: usize = 2000;

fn path(folder: &Path, reader: &str) -> PathBuf {
    folder.join(format!("{reader}.cursor"))
}

/// The place that was kept; `None` where none was.
pub(crate) fn load(folder: &Path, reader: &str) -> io::Result<Option<Position>> {
    let path = path(folder, reader);
    match fs::read_to_string(&path) {
        // Made, and nothing kept yet.
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(|_| {
            let message = format!("{} has another form than \"SEGMENT OFFSET\"; remove it to read everything again", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A reader's file.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: File,
    unsynced: usize,
}

impl Cursor {
    pub(crate) fn open(folder: &Path, reader: &str) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path(folder, reader))?;
        Ok(Self { file, unsynced: 0 })
    }

    /// Keeps the place behind so many more records.
    pub(crate) fn store(&mut self, Position { segment, offset }: Position, records: usize) -> io::Result<()> {
        // Always as long, so that nothing of what was there stays.
        self.file.write_all_at(format!("{segment:020} {offset:020}\n").as_bytes(), 0)?;
        self.unsynced += records;
        if self.unsynced >= UNSYNCED {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_over_whole_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path(), "r").unwrap(), None);
        let mut cursor = Cursor::open(folder.path(), "r").unwrap();
        assert_eq!(load(folder.path(), "r").unwrap(), None);
        for place in [Position { segment: u64::MAX, offset: 77_777 }, Position { segment: 3, offset: 8 }] {
            cursor.store(place, 1).unwrap();
            assert_eq!(load(folder.path(), "r").unwrap(), Some(place));
        }
    }
}
