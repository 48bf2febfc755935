//! How a spool begins: what is there is gone through, and what was torn is repaired.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use crate::{
    Found, Position, Settings, cursor,
    queue::Shared,
    segment::{self, BEGIN},
    writer::Writer,
};

pub(crate) fn open(settings: Settings) -> io::Result<(Arc<Shared>, Found, JoinHandle<()>)> {
    fs::create_dir_all(&settings.folder)?;
    let lock = locked(&settings)?;
    let (mut found, mut bytes) = (Found::default(), 0);
    let mut last = None;
    for number in segment::list(&settings.folder)? {
        let content = segment::content(&settings.folder, number)?;
        found.records += content.records;
        found.damaged_bytes += content.damaged;
        bytes += content.length;
        last = Some((number, content));
    }
    let (file, reached) = if let Some((number, content)) = last {
        found.torn_bytes = content.written - content.end;
        bytes -= content.length.saturating_sub(content.end);
        (segment::resume(&settings.folder, number, content)?, Position { segment: number, offset: content.end })
    } else {
        bytes = BEGIN;
        (segment::create(&settings.folder, 1)?, Position { segment: 1, offset: BEGIN })
    };
    let mut readers = BTreeMap::new();
    for name in settings.readers.iter().copied() {
        readers.insert(name, begin(&settings, name, reached)?);
    }
    let shared = Arc::new(Shared::new(settings, reached, bytes, readers, lock));
    let writer = Writer::new(Arc::clone(&shared), file, reached);
    let thread = thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run())?;
    Ok((shared, found, thread))
}

/// Where a reader begins: where it was left, but not behind the end, which a repair may have moved.
fn begin(settings: &Settings, reader: &str, end: Position) -> io::Result<Position> {
    let first = segment::list(&settings.folder)?.first().copied().unwrap_or(end.segment);
    let first = Position { segment: first, offset: BEGIN };
    Ok(cursor::load(&settings.folder, reader)?.map_or(first, |kept| kept.max(first).min(end)))
}

fn locked(settings: &Settings) -> io::Result<File> {
    let path = settings.folder.join("lock");
    let file = File::create(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is in use by another process", settings.folder.display());
            Err(io::Error::new(io::ErrorKind::WouldBlock, message))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
