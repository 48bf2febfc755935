//! One batch, from where it was to its end.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufReader},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::interval,
};
use torchmesh_api::ids::TenantId;

use super::{Runner, blocking, write::Writing};
use crate::{
    batches::{
        batch::{Batch, Mistake, Status},
        call::{Answered, Way, not_made},
        lines::{self, Checker},
        now,
    },
    identity::Principal,
};

/// Lines that are read ahead, and answers that wait to be written.
const AHEAD: usize = 64;
/// How often it is looked at whether a batch is to be stopped.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// What a line is to be sent with.
type Question = (String, Bytes);

/// Why a batch ends before all its calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    CalledOff,
    TimeIsUp,
    Revoked,
}

impl Runner {
    /// See the module.
    pub(super) async fn run(&self, tenant: &TenantId, id: &str) -> io::Result<()> {
        let (this, owner, name) = (self.clone(), tenant.clone(), id.to_owned());
        let Some((batch, input)) = blocking(move || this.prepare(&owner, &name)).await? else { return Ok(()) };
        let Some(principal) = batch.owner.principal() else { return Err(io::Error::other("the batch's owner cannot be read")) };
        let way = Way {
            stack: self.stack.clone(),
            principal,
            endpoint: batch.endpoint.as_str().into(),
            batch: batch.id.as_str().into(),
            created_at: batch.created_at,
            timeout: self.batches.0.settings.line_timeout,
            metrics: self.metrics.clone(),
        };
        let (shelf, owner) = (self.batches.0.shelf.clone(), tenant.clone());
        let expires_at = batch.expires_at();
        let (writing, done) = blocking(move || Writing::open(shelf, owner, batch)).await?;
        let (sender, answered) = mpsc::channel(AHEAD);
        let writer = tokio::task::spawn_blocking(move || writing.write(answered));
        let (questions, to_ask) = mpsc::channel(AHEAD);
        let longest = self.batches.0.max_line;
        let reader = tokio::task::spawn_blocking(move || read(&input, longest, &done, &questions));
        let stopped = self.ask_all(tenant, &way, to_ask, sender, expires_at).await;
        let writing = writer.await.map_err(io::Error::other)??;
        // A reader whose lines nobody takes any more has ended as well.
        reader.await.map_err(io::Error::other)??;
        blocking(move || writing.end(|batch| conclude(batch, stopped))).await
    }

    /// Reads a batch that is now ours, and its lines if that was not done yet; gives where they are. `None`: there is nothing to be done.
    fn prepare(&self, tenant: &TenantId, id: &str) -> io::Result<Option<(Batch, PathBuf)>> {
        let inner = &self.batches.0;
        let Some(mut batch) = inner.shelf.batch(tenant, id)? else { return Ok(None) };
        if batch.status == Status::Validating {
            let most = Most { lines: inner.settings.max_lines, line: inner.max_line };
            let checked = match inner.shelf.input(tenant, &batch) {
                Ok(input) => check(&input, &batch.endpoint, most)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(vec![gone(&batch.input_file_id)]),
                Err(error) => return Err(error),
            };
            match checked {
                Ok(total) => {
                    (batch.status, batch.counts.total, batch.in_progress_at) = (Status::InProgress, total, Some(now()));
                }
                Err(mistakes) => {
                    batch.errors = mistakes;
                    batch.end(Status::Failed, now());
                }
            }
            inner.shelf.put_batch(tenant, &batch)?;
        }
        if batch.status.is_final() {
            inner.shelf.tidy(tenant, &batch);
            return Ok(None);
        }
        let input = inner.shelf.input(tenant, &batch)?;
        Ok(Some((batch, input)))
    }

    /// Makes the calls, none while the tenant's calls are stopped. Gives why it ended before the last of them.
    async fn ask_all(
        &self,
        tenant: &TenantId,
        way: &Way,
        mut to_ask: Receiver<Question>,
        answered: Sender<Answered>,
        expires_at: u64,
    ) -> Option<Stop> {
        let (mut calls, mut way) = (JoinSet::new(), way.clone());
        let owner = Arc::clone(&way.principal);
        let mut watch = interval(WATCH_EVERY);
        let mut look = true;
        let stop = loop {
            // Also before the first call: an interval's first tick may come after it.
            if look {
                if answered.is_closed() {
                    // Nothing can be written any more: no further call is made for nothing.
                    calls.shutdown().await;
                    return None;
                }
                match self.stop(tenant, &way.batch, &owner, expires_at) {
                    Ok(by_now) => way.principal = by_now,
                    Err(stop) => break stop,
                }
                look = false;
            }
            tokio::select! {
                _ = watch.tick() => look = true,
                Some(ended) = calls.join_next(), if !calls.is_empty() => {
                    if let Ok(line) = ended {
                        self.tell(&answered, line).await;
                    }
                }
                next = self.next(&mut to_ask), if way.principal.stopped.is_none() => {
                    let Some(((custom_id, body), place)) = next else {
                        return self.last(tenant, &way, calls, &answered, expires_at).await;
                    };
                    let way = way.clone();
                    calls.spawn(async move {
                        // A line whose call dies of a mistake of ours has an answer like any other.
                        let asked = AssertUnwindSafe(way.ask(custom_id.clone(), body)).catch_unwind().await;
                        drop(place);
                        asked.unwrap_or_else(|_| not_made(&custom_id, "internal", "the call could not be made"))
                    });
                }
            }
        };
        // What is on its way is given up.
        calls.shutdown().await;
        if stop == Stop::TimeIsUp {
            while let Some((custom_id, _)) = to_ask.recv().await {
                self.tell(&answered, not_made(&custom_id, "batch_expired", "the batch's time was up before this call was made")).await;
            }
        }
        Some(stop)
    }

    /// Waits for the calls that are on their way.
    async fn last(
        &self,
        tenant: &TenantId,
        way: &Way,
        mut calls: JoinSet<Answered>,
        answered: &Sender<Answered>,
        expires_at: u64,
    ) -> Option<Stop> {
        let mut watch = interval(WATCH_EVERY);
        loop {
            tokio::select! {
                ended = calls.join_next() => match ended? {
                    Ok(line) => self.tell(answered, line).await,
                    Err(error) => tracing::error!(%error, "a batch's call ended without an answer"),
                },
                _ = watch.tick() => {
                    if let Err(stop) = self.stop(tenant, &way.batch, &way.principal, expires_at) {
                        calls.shutdown().await;
                        return Some(stop);
                    }
                }
            }
        }
    }

    /// The next line, and a place to make its call in.
    async fn next(&self, to_ask: &mut Receiver<Question>) -> Option<(Question, tokio::sync::OwnedSemaphorePermit)> {
        // The place first: a line that was taken from the channel must not be lost when this future is dropped.
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        to_ask.recv().await.map(|question| (question, place))
    }

    async fn tell(&self, answered: &Sender<Answered>, line: Answered) {
        self.metrics.line(line.went_well);
        // The writer is gone when the disk failed; then the batch is taken up again from what is on it.
        let _ = answered.send(line).await;
    }

    /// Who the owner is by now, or why the batch ends.
    fn stop(&self, tenant: &TenantId, batch: &str, owner: &Principal, expires_at: u64) -> Result<Arc<Principal>, Stop> {
        if self.batches.0.shelf.is_called_off(tenant, batch) {
            return Err(Stop::CalledOff);
        }
        if now() >= expires_at {
            return Err(Stop::TimeIsUp);
        }
        self.identity.by_now(owner).ok_or(Stop::Revoked)
    }
}

fn conclude(batch: &mut Batch, stopped: Option<Stop>) {
    let status = match stopped {
        None => Status::Completed,
        Some(Stop::TimeIsUp) => Status::Expired,
        Some(Stop::CalledOff | Stop::Revoked) => Status::Cancelled,
    };
    if stopped == Some(Stop::Revoked) {
        let message = "the credential that made the batch is not good any more".to_owned();
        batch.errors.push(Mistake { code: "invalid_api_key".to_owned(), message, param: None, line: None });
    }
    if status == Status::Cancelled {
        batch.cancelling_at = batch.cancelling_at.or(Some(now()));
    }
    batch.end(status, now());
}

fn gone(input: &str) -> Mistake {
    let message = format!("the file {input} is gone; send it again, and begin another batch");
    Mistake { code: "file_not_found".to_owned(), message, param: Some("input_file_id".to_owned()), line: None }
}

fn check(input: &Path, endpoint: &str, most: Most) -> io::Result<Result<usize, Vec<Mistake>>> {
    let mut checker = Checker::new(endpoint, most.lines);
    for line in lines::of(BufReader::new(File::open(input)?), most.line) {
        let goes_on = match line? {
            Some(line) => checker.check(&String::from_utf8_lossy(&line)),
            None => checker.too_long(most.line),
        };
        if !goes_on {
            break;
        }
    }
    Ok(checker.end())
}

/// Reads the lines that are not answered yet, until nobody takes them.
fn read(input: &Path, longest: usize, done: &HashSet<String>, questions: &Sender<Question>) -> io::Result<()> {
    for line in lines::of(BufReader::new(File::open(input)?), longest) {
        let Some(line) = line? else { continue };
        let text = String::from_utf8_lossy(&line);
        let Some(line) = lines::read(&text).filter(|line| !done.contains(&line.custom_id)) else { continue };
        let body = Bytes::copy_from_slice(line.body.get().as_bytes());
        if questions.blocking_send((line.custom_id, body)).is_err() {
            break;
        }
    }
    Ok(())
}

/// How large what comes may be.
#[derive(Debug, Clone, Copy)]
struct Most {
    lines: usize,
    line: usize,
}
