//! The one thread that writes.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom, Write as _},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    Position,
    queue::{Next, Pending, Shared},
    record,
    segment::{self, BEGIN},
};

/// How often a spool that is full is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// How long the thread sleeps when there is nothing to do and nothing is wrong; it is woken by what comes.
const LONG: Duration = Duration::from_secs(3600);
/// How much room is set aside at once.
const ASIDE: u64 = 1 << 20;
/// What must be there again before a full spool takes calls again, in bytes.
const ROOM: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    file: File,
    at: Position,
    /// How long the file is: from `at` to there it has zeros.
    length: u64,
    /// How much room is set aside at once in this file.
    aside: u64,
    /// After an error the file's end is not known: the next record goes to a new one.
    spoilt: bool,
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, file: File, at: Position) -> Self {
        Self { shared, file, at, length: at.offset, aside: ASIDE, spoilt: false, bytes: Vec::new() }
    }

    pub(crate) fn run(mut self) {
        let mut done = Pending::default();
        loop {
            let patience = if self.shared.is_full() { TRY_AGAIN } else { LONG };
            match self.shared.next(patience, std::mem::take(&mut done)) {
                Next::End => return self.give_back(),
                Next::Nothing if self.shared.is_full() => self.probe(),
                Next::Nothing => {}
                Next::Write(pending) => {
                    let began = Instant::now();
                    self.take(&pending);
                    // What comes within this time shares the next sync. Who comes to an idle spool does not wait for it, nor who comes alone.
                    if pending.lengths.len() > 1 {
                        self.shared.pace(self.shared.settings.sync_every.saturating_sub(began.elapsed()));
                    }
                    done = pending;
                }
            }
        }
    }

    /// Writes a group, and tells those who wait for it.
    fn take(&mut self, pending: &Pending) {
        let count = pending.lengths.len() as u64;
        let written = self.write(pending);
        match &written {
            Ok(()) => {
                self.shared.records.fetch_add(count, Relaxed);
                self.shared.groups.fetch_add(1, Relaxed);
                self.shared.reached.send_replace(self.at);
            }
            Err(_) => {
                self.shared.lost.fetch_add(count, Relaxed);
            }
        }
        self.tell(written.as_ref().err());
        pending.group.end(written.is_ok());
    }

    fn tell(&self, error: Option<&io::Error>) {
        let full = error.is_some();
        match (self.shared.set_full(full), error) {
            (false, Some(error)) => tracing::error!(%error, folder = %self.shared.settings.folder.display(), "records cannot be written"),
            (true, None) => tracing::info!("records can be written again"),
            _ => {}
        }
    }

    fn write(&mut self, pending: &Pending) -> io::Result<()> {
        self.has_room(pending.size())?;
        self.roll()?;
        let mut at = self.at;
        self.bytes.clear();
        for content in pending.contents() {
            record::push(&mut self.bytes, at, content);
            at.offset = self.at.offset + self.bytes.len() as u64;
        }
        self.set_aside(at.offset);
        let written = self.file.write_all(&self.bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.take_back();
            return Err(error);
        }
        self.shared.bytes.fetch_add(at.offset - self.at.offset, Relaxed);
        self.at = at;
        self.length = self.length.max(at.offset);
        Ok(())
    }

    fn has_room(&self, size: u64) -> io::Result<()> {
        let (now, most) = (self.shared.bytes.load(Relaxed), self.shared.settings.max_bytes);
        if now + size > most {
            let message = format!("the spool has {now} of at most {most} bytes, and nobody has read them");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(())
    }

    /// Goes on in a new file where this one is full or spoilt.
    fn roll(&mut self) -> io::Result<()> {
        if self.at.offset < self.shared.settings.segment_bytes && !self.spoilt {
            return Ok(());
        }
        self.give_back();
        let number = self.at.segment + 1;
        self.file = segment::create(&self.shared.settings.folder, number)?;
        self.at = Position { segment: number, offset: BEGIN };
        (self.length, self.aside) = (BEGIN, ASIDE);
        self.spoilt = false;
        self.shared.bytes.fetch_add(BEGIN, Relaxed);
        // Its readers may leave the file before.
        self.shared.reached.send_replace(self.at);
        Ok(())
    }

    /// Takes off what was written of a group that could not be written whole.
    fn take_back(&mut self) {
        let end = self.at.offset;
        let taken = self.file.set_len(end).and_then(|()| self.file.seek(SeekFrom::Start(end))).and_then(|_| self.file.sync_data());
        // What a failed sync has left is not known, and must not be written over: what readers were told of stays as it is.
        self.spoilt = taken.is_err();
        self.length = end;
    }

    /// Sees to it that the file has room up to this byte, where there is that much more than it needs. It is durable with the next sync.
    fn set_aside(&mut self, end: u64) {
        if end <= self.length || self.aside == 0 {
            return;
        }
        // Not more than the file is to grow to.
        let wanted = end.max((self.length + self.aside).min(self.shared.settings.segment_bytes));
        if segment::set_aside(&self.file, self.length, wanted).is_ok() {
            self.length = wanted;
        } else {
            // The disk is nearly full: what is left of it is for records.
            self.aside = 0;
            self.give_back();
        }
    }

    /// Nothing more comes to this file: the room that is left is given back.
    fn give_back(&mut self) {
        // Where it cannot be, zeros stay, which mean nothing.
        if self.file.set_len(self.at.offset).is_ok() {
            self.length = self.at.offset;
        }
    }

    /// Tries whether there is room again.
    fn probe(&mut self) {
        let tried = self.has_room(ROOM as u64).and_then(|()| self.roll()).and_then(|()| {
            let tried = self.file.write_all(&vec![0; ROOM]).and_then(|()| self.file.sync_data());
            self.take_back();
            tried
        });
        if tried.is_ok() {
            self.tell(None);
        }
    }
}
