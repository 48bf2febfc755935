//! The thread that writes a batch's answers: what comes at once shares a sync, and what is counted is synced.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::Receiver;
use torchmesh_api::ids::TenantId;

use crate::batches::{answers::Answers, batch::Batch, call::Answered, file::FileRecord, now, shelf::Shelf};

/// How often it is written down how far a batch is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A batch's answers, and what is known of it.
#[derive(Debug)]
pub(super) struct Writing {
    shelf: Shelf,
    tenant: TenantId,
    pub(super) batch: Batch,
    output: Answers,
    error: Answers,
}

impl Writing {
    /// Opens what there is already, and tells the ids of the lines that are answered.
    pub(super) fn open(shelf: Shelf, tenant: TenantId, mut batch: Batch) -> io::Result<(Self, HashSet<String>)> {
        let mut done = HashSet::new();
        let (output, completed) = Answers::open(&shelf.draft(&tenant, &batch.output)?, &mut done)?;
        let (error, failed) = Answers::open(&shelf.draft(&tenant, &batch.error)?, &mut done)?;
        (batch.counts.completed, batch.counts.failed) = (completed, failed);
        Ok((Self { shelf, tenant, batch, output, error }, done))
    }

    /// Writes what comes until nobody sends any more.
    pub(super) fn write(mut self, mut answered: Receiver<Answered>) -> io::Result<Self> {
        let mut told = Instant::now();
        while let Some(first) = answered.blocking_recv() {
            let mut counts = self.batch.counts;
            let mut next = Some(first);
            while let Some(Answered { text, went_well }) = next {
                let (file, count) =
                    if went_well { (&mut self.output, &mut counts.completed) } else { (&mut self.error, &mut counts.failed) };
                file.add(text)?;
                *count += 1;
                next = answered.try_recv().ok();
            }
            self.output.sync()?;
            self.error.sync()?;
            self.batch.counts = counts;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell()?;
            }
        }
        Ok(self)
    }

    /// Writes down how far it is.
    pub(super) fn tell(&self) -> io::Result<()> {
        self.shelf.put_batch(&self.tenant, &self.batch)
    }

    /// The answers become files, and the batch is over. Done again after a death in the middle, it comes to the same.
    pub(super) fn end(self, end: impl FnOnce(&mut Batch)) -> io::Result<()> {
        let Self { shelf, tenant, mut batch, output, error } = self;
        let parts = [(&output, &batch.output, batch.counts.completed, "output"), (&error, &batch.error, batch.counts.failed, "error")];
        for (answers, id, lines, what) in parts {
            if lines == 0 {
                continue;
            }
            let filename = format!("{}_{what}.jsonl", batch.id);
            let (id, bytes, purpose) = (id.clone(), answers.bytes()?, "batch_output".to_owned());
            shelf.publish(&tenant, FileRecord { id, bytes, created_at: now(), filename, purpose, stored: false })?;
        }
        end(&mut batch);
        shelf.put_batch(&tenant, &batch)?;
        shelf.tidy(&tenant, &batch);
        Ok(())
    }
}
