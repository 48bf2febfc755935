//! The files of a spool: `00000000000000000001.seg`, each beginning with eight bytes that say what it is. Behind its last record there may be zeros: room for the next ones.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::{Position, record::Scan};

/// What a file begins with.
pub const MAGIC: [u8; 8] = *b"TMSPOOL1";
/// Where the first record begins.
pub const BEGIN: u64 = MAGIC.len() as u64;

/// A file's path.
pub fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.seg"))
}

/// The numbers of the files that are there, in their order.
pub fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_suffix(".seg")?.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the file of this number, and makes sure that it is found again.
pub(crate) fn create(folder: &Path, number: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path(folder, number))?;
    file.write_all(&MAGIC)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// What is in a file from a place on.
pub(crate) fn bytes(folder: &Path, from: Position, to: Option<u64>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path(folder, from.segment))?;
    let end = to.unwrap_or(file.metadata()?.len());
    let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(from.offset)).unwrap_or_default());
    file.seek(SeekFrom::Start(from.offset))?;
    file.take(end.saturating_sub(from.offset)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What was found in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) records: u64,
    pub(crate) damaged: u64,
    /// Behind the last whole record.
    pub(crate) end: u64,
    /// Behind the last byte that is not 0: what stands between the two was begun and not ended. Zeros are room that was set aside.
    pub(crate) written: u64,
    /// How long the file is.
    pub(crate) length: u64,
}

/// Goes through a file.
pub(crate) fn content(folder: &Path, number: u64) -> io::Result<Content> {
    let begin = Position { segment: number, offset: BEGIN };
    let length = fs::metadata(path(folder, number))?.len();
    let bytes = bytes(folder, begin, None)?;
    let mut scan = Scan::new(&bytes, begin);
    let records = scan.by_ref().count() as u64;
    let end = scan.position().offset;
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(end, |last| end.max(BEGIN + last as u64 + 1));
    Ok(Content { records, damaged: scan.passed_over(), end, written, length })
}

/// Sets room aside behind the first `from` bytes of a file, up to `to`: a sync of bytes that replace others costs a third of one that makes the file longer.
pub(crate) fn set_aside(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let part = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// The last file, to go on with: what stands behind its last whole record is taken off.
pub(crate) fn resume(folder: &Path, number: u64, content: Content) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).write(true).open(path(folder, number))?;
    let mut magic = [0; MAGIC.len()];
    let whole = file.read_exact(&mut magic).is_ok() && magic == MAGIC;
    if !whole {
        file.rewind()?;
        file.write_all(&MAGIC)?;
    }
    if content.length != content.end || !whole {
        file.set_len(content.end)?;
        file.sync_all()?;
    }
    file.seek(SeekFrom::Start(content.end))?;
    Ok(file)
}
