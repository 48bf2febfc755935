//! A durable spool: records are appended by many threads at once, made durable in groups, and read in their order until they are acknowledged.
//!
//! [`Spool::append`] copies a record into memory and gives a [`Ticket`], which is done when the record is on the disk: one thread writes what has come since it last
//! wrote, and syncs once for all of it. Records are in files of a few megabytes ([`segment`]), each with a checksum over its content and its place ([`record`]), so that
//! what a crash tore off, what has changed and what was moved is told from what is whole. A [`Reader`] keeps its place in a file of its own, which it moves when what
//! it has read was taken: records come at least once. Files that every reader has behind it are removed.
//!
//! Whoever uses this chooses what happens when the disk is full: [`Spool::is_full`] says so while it is, and a ticket ends with [`Lost`] where its record could not be written.

mod cursor;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod group;
mod open;
mod position;
mod queue;
mod reader;
pub mod record;
pub mod segment;
mod writer;

use std::{path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use group::{Lost, Ticket};
pub use position::Position;
pub use reader::{Batch, Reader};

use queue::Shared;

/// How a spool is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where its files are; one process at a time.
    pub folder: PathBuf,
    /// The least time from one sync to the next where records come faster than that: what comes meanwhile shares the next one.
    pub sync_every: Duration,
    /// The most bytes of all files together. What would not fit is refused as if the disk were full.
    pub max_bytes: u64,
    /// A file of this size is followed by the next.
    pub segment_bytes: u64,
    /// Who reads; a file is removed when each of them has read it.
    pub readers: Vec<&'static str>,
}

/// What an opened spool found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Whole records, those that were acknowledged and whose file is still there among them.
    pub records: u64,
    /// Bytes that the last process began to write and did not end; they were taken off.
    pub torn_bytes: u64,
    /// Bytes in front of whole records that are no records: something has changed them. They are passed over.
    pub damaged_bytes: u64,
}

/// Counts since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Records that are durable.
    pub records: u64,
    /// Records that could not be written.
    pub lost: u64,
    /// Syncs.
    pub groups: u64,
    /// Bytes of all files now.
    pub bytes: u64,
}

/// See the crate. Cheap to clone; when the last one is dropped, what was appended is written first.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
    /// Ends with the last clone.
    _end: Arc<End>,
}

#[derive(Debug)]
struct End {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = self.writer.lock().take() {
            // It panics nowhere that is known; if it did, what it held is lost, and the tickets say so.
            let _ = writer.join();
        }
    }
}

impl Spool {
    /// Opens the folder, making it if it is not there, and repairs what the last process left half written.
    ///
    /// Errors: the folder or a file cannot be read or written; another process has it open (`WouldBlock`).
    pub fn open(settings: Settings) -> std::io::Result<(Self, Found)> {
        let (shared, found, writer) = open::open(settings)?;
        let end = End { shared: Arc::clone(&shared), writer: Mutex::new(Some(writer)) };
        Ok((Self { shared, _end: Arc::new(end) }, found))
    }

    /// Appends a record of 1 to [`record::LONGEST`] bytes; a longer one is lost. Returns at once.
    pub fn append(&self, payload: &[u8]) -> Ticket {
        self.shared.append(payload)
    }

    /// Whether the last attempt to write failed. It is tried again by itself, a few times each second.
    pub fn is_full(&self) -> bool {
        self.shared.is_full()
    }

    /// Counts.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// One of the readers that the settings name, at the place where it was left.
    ///
    /// Errors: its file cannot be read or has another form.
    pub fn reader(&self, name: &'static str) -> std::io::Result<Reader> {
        Reader::open(Arc::clone(&self.shared), name)
    }

    /// Up to where records are durable, to be waited for.
    pub fn reached(&self) -> watch::Receiver<Position> {
        self.shared.reached.subscribe()
    }
}
