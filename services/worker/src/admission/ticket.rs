//! One request's way through the queue: the ticket stays with its rows, the pending end with its caller.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use torchmesh_api::error::ApiError;
use tracing::Span;

use super::{
    Answered, Queue, Spent,
    bell::{Letters, Wake, letters_here},
    flows::FlowKey,
};
use crate::stats::BatchTimes;

/// A request without a deadline is served as if it had one so long after its arrival.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a request's pieces have in common.
#[derive(Debug)]
pub struct Ticket {
    /// When it was admitted.
    pub arrived: Instant,
    /// When its answer is of no use any more.
    pub deadline: Option<Instant>,
    /// When it is due among the requests of its flow.
    pub(super) due: Instant,
    /// Where it waits.
    pub(super) flow: FlowKey,
    /// The request's span.
    pub span: Span,
    /// From admission to the first batch; none when the caller records no trace.
    pub(super) queue_span: Mutex<Span>,
    /// Pieces in the queue. Changed only under the queue's lock.
    pub(super) queued: AtomicUsize,
    /// Whether the caller has gone, so that its rows are worth nothing.
    left: AtomicBool,
    /// Where the caller lives.
    letters: Option<Arc<Letters>>,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    rows_left: usize,
    answered: Vec<Answered>,
    spent: Spent,
    outcome: Option<Result<Answers, ApiError>>,
    finished: bool,
    waker: Option<Waker>,
}

/// A request's outputs.
#[derive(Debug)]
pub struct Answers {
    /// The outputs of all rows, in order.
    pub answered: Vec<Answered>,
    /// Where its time went.
    pub spent: Spent,
}

impl Deref for Answers {
    type Target = [Answered];

    fn deref(&self) -> &[Answered] {
        &self.answered
    }
}

impl IntoIterator for Answers {
    type Item = Answered;
    type IntoIter = std::vec::IntoIter<Answered>;

    fn into_iter(self) -> Self::IntoIter {
        self.answered.into_iter()
    }
}

impl Ticket {
    pub(super) fn new(rows: usize, pieces: usize, arrived: Instant, deadline: Option<Instant>, flow: FlowKey, span: Span) -> Self {
        let queue_span = if span.is_none() {
            Span::none()
        } else {
            tracing::info_span!(target: torchmesh_runtime::telemetry::SPAN_TARGET, parent: &span, "worker.queue")
        };
        Self {
            arrived,
            deadline,
            due: deadline.unwrap_or(arrived + PATIENCE),
            flow,
            span,
            queue_span: Mutex::new(queue_span),
            queued: AtomicUsize::new(pieces),
            left: AtomicBool::new(false),
            letters: letters_here(),
            progress: Mutex::new(Progress {
                rows_left: rows,
                answered: Vec::with_capacity(1),
                spent: Spent::default(),
                outcome: None,
                finished: false,
                waker: None,
            }),
        }
    }

    /// A ticket of one row that belongs to no queue.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::new(1, 1, Instant::now(), None, FlowKey::default(), Span::none())
    }

    /// Ends the span of the wait: the request is in a batch.
    pub fn leave_queue(&self) {
        if !self.span.is_none() {
            *self.queue_span.lock() = Span::none();
        }
    }

    /// Whether the work is worth doing at `now`: the caller waits, the deadline is ahead, and nothing has failed.
    pub fn wanted(&self, now: Instant) -> bool {
        !self.left.load(Ordering::Relaxed) && !self.expired(now) && !self.progress.lock().finished
    }

    /// Whether the deadline has passed.
    pub fn expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Notes that a batch, taken at `taken`, has run with rows of this request in it. To be called before those are handed in, once a batch.
    pub fn spend(&self, taken: Instant, times: BatchTimes) {
        let mut progress = self.progress.lock();
        if progress.spent.batches == 0 {
            progress.spent.queue = self.age(taken);
        }
        progress.spent.add(times);
    }

    /// Where its time has gone so far.
    pub fn spent(&self) -> Spent {
        self.progress.lock().spent
    }

    /// Hands in rows; the waker to call when these were the last. The caller is woken by whoever holds the waker, so that a
    /// whole batch can be handed in before anyone runs.
    #[must_use = "the caller sleeps until its waker is called"]
    pub fn answer(&self, answered: Answered) -> Option<Wake> {
        let mut progress = self.progress.lock();
        if progress.finished {
            return None;
        }
        progress.rows_left = progress.rows_left.saturating_sub(answered.rows);
        progress.answered.push(answered);
        if progress.rows_left > 0 {
            return None;
        }
        let mut all = std::mem::take(&mut progress.answered);
        all.sort_unstable_by_key(|piece| (piece.part, piece.first_row));
        let spent = progress.spent;
        progress.finish(Ok(Answers { answered: all, spent })).map(|waker| self.wake(waker))
    }

    /// Ends the request with an error, unless it has ended.
    #[must_use = "the caller sleeps until its waker is called"]
    pub fn fail(&self, error: ApiError) -> Option<Wake> {
        let mut progress = self.progress.lock();
        if progress.finished {
            return None;
        }
        progress.finish(Err(error)).map(|waker| self.wake(waker))
    }

    fn wake(&self, waker: Waker) -> Wake {
        Wake { waker, letters: self.letters.clone() }
    }

    /// Whether the last row is in, or the request has failed.
    pub fn finished(&self) -> bool {
        self.progress.lock().finished
    }

    /// How long it has been since admission.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.arrived)
    }
}

impl Progress {
    fn finish(&mut self, outcome: Result<Answers, ApiError>) -> Option<Waker> {
        self.finished = true;
        self.outcome = Some(outcome);
        self.waker.take()
    }
}

/// A caller's end: resolves to the outputs of all rows, in order.
///
/// Dropping it before that takes the request out of the queue at once; rows that already run are finished and thrown away.
#[derive(Debug)]
pub struct Pending {
    pub(super) ticket: Arc<Ticket>,
    pub(super) queue: Arc<Queue>,
    pub(super) done: bool,
}

impl Future for Pending {
    type Output = Result<Answers, ApiError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = {
            let mut progress = self.ticket.progress.lock();
            if progress.outcome.is_none() && !progress.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                progress.waker = Some(cx.waker().clone());
            }
            progress.outcome.take()
        };
        match outcome {
            Some(outcome) => {
                self.done = true;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.ticket.left.store(true, Ordering::Relaxed);
            self.queue.forget(&self.ticket);
        }
    }
}
