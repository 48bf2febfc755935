//! Where a reader is, in a file of its own: `NAME.cursor`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::Position;

fn path(folder: &Path, reader: &str) -> PathBuf {
    folder.join(format!("{reader}.cursor"))
}

/// The place that was kept; `None` where none was.
pub(crate) fn load(folder: &Path, reader: &str) -> io::Result<Option<Position>> {
    let path = path(folder, reader);
    match fs::read_to_string(&path) {
        Ok(text) => text.parse().map(Some).map_err(|_| {
            let message = format!("{} has another form than \"SEGMENT OFFSET\"; remove it to read everything again", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps a place: whole or not at all.
pub(crate) fn store(folder: &Path, reader: &str, place: Position) -> io::Result<()> {
    let (path, part) = (path(folder, reader), folder.join(format!("{reader}.cursor.part")));
    let mut file = File::create(&part)?;
    writeln!(file, "{place}")?;
    file.sync_data()?;
    fs::rename(part, path)
}
