//! What was appended and is not written yet, and what writer and readers know of each other.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::{
    Figures, Position, Settings, Ticket,
    group::Group,
    record::{self, LONGEST},
    segment,
};

/// Records that are written together.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Their contents, one behind the other.
    pub(crate) contents: Vec<u8>,
    /// How long each is.
    pub(crate) lengths: Vec<u32>,
    pub(crate) group: Arc<Group>,
}

impl Pending {
    pub(crate) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.contents[..];
        self.lengths.iter().map(move |&length| {
            let (content, behind) = rest.split_at(length as usize);
            rest = behind;
            content
        })
    }

    /// How many bytes they take in a file.
    pub(crate) fn size(&self) -> u64 {
        (self.contents.len() + self.lengths.len() * record::HEAD) as u64
    }
}

#[derive(Debug, Default)]
struct Queue {
    pending: Pending,
    /// The writer waits for something to do.
    idle: bool,
    closed: bool,
}

/// What the writer is to do.
#[derive(Debug)]
pub(crate) enum Next {
    Write(Pending),
    /// Nothing has come for so long.
    Nothing,
    End,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Up to where records are durable.
    pub(crate) reached: watch::Sender<Position>,
    /// Bytes of all files.
    pub(crate) bytes: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) groups: AtomicU64,
    queue: Mutex<Queue>,
    arrived: Condvar,
    full: AtomicBool,
    /// Where each reader is.
    readers: Mutex<BTreeMap<&'static str, Position>>,
    /// Held as long as the spool is open.
    _lock: File,
}

impl Shared {
    pub(crate) fn new(settings: Settings, reached: Position, bytes: u64, readers: BTreeMap<&'static str, Position>, lock: File) -> Self {
        Self {
            settings,
            reached: watch::Sender::new(reached),
            bytes: AtomicU64::new(bytes),
            records: AtomicU64::default(),
            lost: AtomicU64::default(),
            groups: AtomicU64::default(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            full: AtomicBool::default(),
            readers: Mutex::new(readers),
            _lock: lock,
        }
    }

    pub(crate) fn append(&self, content: &[u8]) -> Ticket {
        if !(1..=LONGEST).contains(&content.len()) {
            self.lost.fetch_add(1, Relaxed);
            return Ticket::lost();
        }
        let mut queue = self.queue.lock();
        queue.pending.contents.extend_from_slice(content);
        queue.pending.lengths.push(content.len() as u32);
        let ticket = Ticket::of(Arc::clone(&queue.pending.group));
        let idle = std::mem::take(&mut queue.idle);
        drop(queue);
        if idle {
            self.arrived.notify_one();
        }
        ticket
    }

    /// Waits until there is something to write, but not longer than `patience`; the vectors of `done` are used again.
    pub(crate) fn next(&self, patience: Duration, done: Pending) -> Next {
        let mut queue = self.queue.lock();
        if queue.pending.lengths.is_empty() && !queue.closed {
            queue.idle = true;
            self.arrived.wait_for(&mut queue, patience);
            queue.idle = false;
        }
        if queue.pending.lengths.is_empty() {
            return if queue.closed { Next::End } else { Next::Nothing };
        }
        let Pending { mut contents, mut lengths, .. } = done;
        contents.clear();
        lengths.clear();
        Next::Write(std::mem::replace(&mut queue.pending, Pending { contents, lengths, group: Arc::default() }))
    }

    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Waits for `time`, but not once the spool is to be closed.
    pub(crate) fn pace(&self, time: Duration) {
        let mut queue = self.queue.lock();
        if !queue.closed && !time.is_zero() {
            self.arrived.wait_for(&mut queue, time);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Relaxed)
    }

    pub(crate) fn set_full(&self, full: bool) -> bool {
        self.full.swap(full, Relaxed)
    }

    pub(crate) fn figures(&self) -> Figures {
        let read = |count: &AtomicU64| count.load(Relaxed);
        Figures { records: read(&self.records), lost: read(&self.lost), groups: read(&self.groups), bytes: read(&self.bytes) }
    }

    pub(crate) fn place(&self, reader: &str) -> Position {
        self.readers.lock().get(reader).copied().unwrap_or_default()
    }

    /// A reader has everything in front of `place` behind it: files that nobody reads any more are removed.
    pub(crate) fn passed(&self, reader: &'static str, place: Position) {
        let mut readers = self.readers.lock();
        readers.insert(reader, place);
        let needed = readers.values().map(|place| place.segment).min().unwrap_or_default();
        let needed = needed.min(self.reached.borrow().segment);
        let numbers = segment::list(&self.settings.folder).unwrap_or_default();
        for number in numbers.into_iter().take_while(|&number| number < needed) {
            let path = segment::path(&self.settings.folder, number);
            let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            // One that stays is tried again with the next.
            if fs::remove_file(&path).is_ok() {
                self.bytes.fetch_sub(length, Relaxed);
            }
        }
    }
}
