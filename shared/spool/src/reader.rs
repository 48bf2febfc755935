//! Reads what is durable, from the place where it was left.

use std::{io, sync::Arc};

use crate::{
    Position,
    cursor::Cursor,
    queue::Shared,
    record::Scan,
    segment::{self, BEGIN},
};

/// Records that were read together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Their contents, in the order in which they were appended.
    pub records: Vec<Vec<u8>>,
    /// Behind the last of them: what to acknowledge.
    pub end: Position,
    /// Bytes that are no records and were passed over.
    pub damaged_bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    name: &'static str,
    at: Position,
    /// Bytes that are read and not given yet, and where they begin.
    ahead: (Position, Vec<u8>),
    cursor: Cursor,
    /// How many records were given since the last place was kept.
    given: usize,
}

impl Reader {
    pub(crate) fn open(shared: Arc<Shared>, name: &'static str) -> io::Result<Self> {
        if !shared.settings.readers.contains(&name) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("the spool has no reader of the name {name}")));
        }
        let at = shared.place(name);
        let cursor = Cursor::open(&shared.settings.folder, name)?;
        Ok(Self { shared, name, at, ahead: (at, Vec::new()), cursor, given: 0 })
    }

    /// The next records, at most so many, and of one file; none when everything that is durable was read. It may take as long as the disk does.
    ///
    /// Errors: a file cannot be read; the same records come when it is tried again.
    pub fn next(&mut self, most: usize) -> io::Result<Batch> {
        loop {
            let reached = *self.shared.reached.borrow();
            let batch = self.ahead(most);
            if !batch.records.is_empty() {
                self.at = batch.end;
                self.given += batch.records.len();
                return Ok(batch);
            }
            let more = self.fill(reached)?;
            if !more && self.at.segment >= reached.segment {
                return Ok(Batch { end: self.at, ..batch });
            }
            if !more {
                self.at = Position { segment: self.following(reached)?, offset: BEGIN };
            }
        }
    }

    fn ahead(&self, most: usize) -> Batch {
        let (begin, bytes) = &self.ahead;
        let skip = usize::try_from(self.at.offset.saturating_sub(begin.offset)).unwrap_or(usize::MAX);
        let rest = if begin.segment == self.at.segment { bytes.get(skip..).unwrap_or_default() } else { &[] };
        let mut scan = Scan::new(rest, self.at);
        let records: Vec<Vec<u8>> = scan.by_ref().take(most).map(<[u8]>::to_vec).collect();
        Batch { records, end: scan.position(), damaged_bytes: scan.passed_over() }
    }

    /// Reads what is behind the place in its file; whether there is a record in it.
    fn fill(&mut self, reached: Position) -> io::Result<bool> {
        let end = (self.at.segment == reached.segment).then_some(reached.offset);
        let bytes = match segment::bytes(&self.shared.settings.folder, self.at, end) {
            // Whoever removed it did not want it read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.at.segment < reached.segment => Vec::new(),
            bytes => bytes?,
        };
        self.ahead = (self.at, bytes);
        Ok(Scan::new(&self.ahead.1, self.at).next().is_some())
    }

    fn following(&self, reached: Position) -> io::Result<u64> {
        let numbers = segment::list(&self.shared.settings.folder)?;
        Ok(numbers.into_iter().find(|&number| number > self.at.segment).unwrap_or(reached.segment))
    }

    /// Everything in front of this place was taken: it is not read again, and files in front of it are removed as soon as no reader needs them.
    ///
    /// Errors: the place cannot be kept; then the records come again after a restart.
    pub fn acknowledge(&mut self, place: Position) -> io::Result<()> {
        self.cursor.store(place, std::mem::take(&mut self.given))?;
        self.shared.passed(self.name, place);
        Ok(())
    }
}
