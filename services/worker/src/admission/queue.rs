//! The bounded queue between callers and executors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{
    Batch, Pending, Piece, Submission, Ticket, Work, bell,
    state::{Next, State, TooLate},
};
use crate::{
    batching,
    manifest::{Batching, QueueLimits},
    metrics::QueueMetrics,
};

/// What a queue is told when it is made.
#[derive(Debug)]
pub struct QueueSettings {
    /// How much may wait, and the class of a request that names none.
    pub limits: QueueLimits,
    /// Which requests run together.
    pub batching: Batching,
    /// How many executors take from it.
    pub instances: usize,
    /// Where it is seen.
    pub metrics: QueueMetrics,
}

/// The queue of one model version. Callers push and wait; executors pull when they are free.
#[derive(Debug)]
pub struct Queue {
    settings: QueueSettings,
    state: Mutex<State>,
    arrived: Condvar,
    filled: Condvar,
    seen: Seen,
}

/// What is known of a queue without its lock, as it was when something changed last.
#[derive(Debug)]
struct Seen {
    since: Instant,
    /// Requests that wait.
    depth: AtomicU64,
    /// When an executor is expected to be free, in microseconds since `since`.
    free: AtomicU64,
    /// How long all that waits will take, in microseconds.
    backlog: AtomicU64,
}

/// How busy a model is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// Requests that wait for an executor.
    pub depth: u64,
    /// How long a new one would wait, in microseconds.
    pub wait_us: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: QueueSettings) -> Arc<Self> {
        let state = Mutex::new(State::new(settings.batching.clone(), settings.instances));
        let seen = Seen { since: Instant::now(), depth: AtomicU64::new(0), free: AtomicU64::new(0), backlog: AtomicU64::new(0) };
        Arc::new(Self { settings, state, arrived: Condvar::new(), filled: Condvar::new(), seen })
    }

    /// Admits a request, or refuses it at once: `ResourceExhausted` with a retry hint when the queue is full or so long that the request would miss
    /// its deadline, `DeadlineExceeded` when it would miss it anyway, the reason of [`Queue::close`] when it is closed.
    pub fn push(self: &Arc<Self>, submission: Submission) -> Result<Pending, ApiError> {
        let Submission { parts, deadline, caller, span } = submission;
        let (rows, bytes) = parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes()));
        let (now, flow) = (Instant::now(), (caller.priority.unwrap_or(self.settings.limits.priority), caller.tenant));
        let ticket = Arc::new(Ticket::new(rows, parts.len(), now, deadline, flow, span));
        let mut state = self.state.lock();
        self.admits(&state, bytes, now)?;
        // One that has expired already is answered as every other that expires here.
        let late = deadline.filter(|deadline| *deadline > now).and_then(|deadline| state.too_late(now, flow, deadline, &parts));
        if let Some(late) = late {
            return Err(self.refuse_late(&state, late, now));
        }
        state.push(&ticket, parts);
        self.show(&state, now);
        let wanted = state.idle > 0 || is_filled(&state);
        drop(state);
        if wanted {
            bell::note(self);
        }
        Ok(Pending { ticket, queue: Arc::clone(self), done: false })
    }

    fn admits(&self, state: &State, bytes: usize, now: Instant) -> Result<(), ApiError> {
        if let Some(reason) = &state.closed {
            return Err(reason.clone());
        }
        let QueueLimits { max_requests, max_bytes, .. } = self.settings.limits;
        if bytes > max_bytes {
            let message = format!("the request holds {bytes} bytes of tensors, and this model's queue takes {max_bytes}; send fewer rows");
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        if state.requests < max_requests && state.bytes + bytes <= max_bytes {
            return Ok(());
        }
        self.settings.metrics.refused_full.inc();
        let wait = retry_after(state, now);
        let message = format!("the queue is full ({} requests wait); try again in {} ms", state.requests, wait.as_millis().max(1));
        Err(ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(wait))
    }

    fn refuse_late(&self, state: &State, late: TooLate, now: Instant) -> ApiError {
        self.settings.metrics.refused_late.inc();
        let millis = |time: Duration| time.as_millis().max(1);
        match late {
            TooLate::Alone(time) => {
                let message = format!(
                    "the deadline is too near: this model takes about {} ms for the request; allow more time or send less at once",
                    millis(time)
                );
                ApiError::new(ErrorKind::DeadlineExceeded, message)
            }
            TooLate::Behind(time) => {
                let wait = retry_after(state, now);
                let message = format!(
                    "the queue is too long for the deadline: an answer would take about {} ms; try again in {} ms",
                    millis(time),
                    millis(wait)
                );
                ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(wait)
            }
        }
    }

    /// Waits for work and takes a batch; `None` once the queue is closed.
    ///
    /// Requests whose deadline has passed, or cannot be kept any more, are answered here and never reach a batch.
    pub fn pull(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        state.executor_came();
        loop {
            if state.closed.is_some() {
                return None;
            }
            let now = Instant::now();
            let expired = state.remove_expired(now);
            if !expired.is_empty() {
                self.refuse_unlocked(&mut state, &expired, now);
            } else if state.is_empty() {
                state.rest();
                self.show(&state, now);
                state.idle += 1;
                self.arrived.wait(&mut state);
                state.idle -= 1;
            } else {
                match state.next(now) {
                    Next::Run(batch) => {
                        self.show(&state, now);
                        let more = !state.is_empty() && state.idle > 0;
                        drop(state);
                        if more {
                            self.arrived.notify_one();
                        }
                        return Some(batch);
                    }
                    Next::Wait(until) => {
                        state.lingering += 1;
                        self.filled.wait_until(&mut state, until);
                        state.lingering -= 1;
                    }
                    Next::Late(pieces) => self.refuse_unlocked(&mut state, &pieces, now),
                }
            }
        }
    }

    /// Takes a request's pieces out: its caller has left, or one of its rows has failed.
    pub fn forget(&self, ticket: &Arc<Ticket>) {
        let mut state = self.state.lock();
        if ticket.queued.load(Ordering::Relaxed) == 0 {
            return;
        }
        let removed = state.remove(Some(ticket.flow), |other| std::ptr::eq(other, &raw const **ticket));
        self.show(&state, Instant::now());
        drop(state);
        if !removed.is_empty() {
            self.settings.metrics.dropped.inc();
        }
    }

    /// Takes in how long a forward took, by which deadlines, batch sizes, shares and retry hints are judged.
    pub fn learn(&self, work: Work, time: Duration) {
        self.state.lock().learn(work, time.as_secs_f64(), Instant::now());
    }

    /// Says whether the engine multiplies padding. Until it is said, it is taken to.
    pub fn set_padding_costs(&self, costs: bool) {
        self.state.lock().set_padding_costs(costs);
    }

    /// How busy the model is.
    pub fn load(&self) -> Load {
        let Seen { since, depth, free, backlog } = &self.seen;
        let free = free.load(Ordering::Relaxed).saturating_sub(micros(since.elapsed()));
        Load { depth: depth.load(Ordering::Relaxed), wait_us: free + backlog.load(Ordering::Relaxed) }
    }

    /// Refuses what waits and whatever comes, and sends the executors home. The first reason stays.
    pub fn close(&self, reason: &ApiError) {
        let mut state = self.state.lock();
        let reason = state.closed.get_or_insert_with(|| reason.clone()).clone();
        let refused = state.remove(None, |_| true);
        self.show(&state, Instant::now());
        drop(state);
        self.arrived.notify_all();
        self.filled.notify_all();
        self.refuse(&refused, &reason);
    }

    /// How many requests wait.
    pub fn depth(&self) -> usize {
        self.state.lock().requests
    }

    /// Wakes an executor, if one waits for what is in the queue.
    pub(super) fn ring(&self) {
        let state = self.state.lock();
        let (idle, filled) = (state.idle > 0, is_filled(&state));
        // After the lock is free, so that whoever wakes does not meet it.
        drop(state);
        if idle {
            self.arrived.notify_one();
        } else if filled {
            self.filled.notify_one();
        }
    }

    fn show(&self, state: &State, now: Instant) {
        let (free, backlog) = state.wait(now);
        self.seen.depth.store(state.requests as u64, Ordering::Relaxed);
        self.seen.free.store(micros(now.saturating_duration_since(self.seen.since) + free), Ordering::Relaxed);
        self.seen.backlog.store(micros(backlog), Ordering::Relaxed);
        self.settings.metrics.depth.set(i64::try_from(state.requests).unwrap_or(i64::MAX));
        self.settings.metrics.wait_seconds.set((free + backlog).as_secs_f64());
    }

    /// How many executors wait for anything.
    #[cfg(test)]
    pub(crate) fn idle_executors(&self) -> usize {
        self.state.lock().idle
    }

    /// Answers those whose time is up, with the lock given away meanwhile.
    fn refuse_unlocked(&self, state: &mut MutexGuard<'_, State>, late: &[Piece], now: Instant) {
        self.show(state, now);
        MutexGuard::unlocked(state, || self.refuse(late, &deadline_exceeded()));
    }

    fn refuse(&self, pieces: &[Piece], reason: &ApiError) {
        for piece in pieces {
            if !piece.ticket.finished() {
                self.settings.metrics.dropped.inc();
                if let Some(waker) = piece.ticket.fail(reason.clone()) {
                    waker.now();
                }
            }
        }
    }
}

fn retry_after(state: &State, now: Instant) -> Duration {
    let (free, backlog) = state.wait(now);
    batching::retry_after(free + backlog)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whether an executor waits for a batch to fill that is full now.
fn is_filled(state: &State) -> bool {
    state.lingering > 0 && state.rows >= state.fills()
}

/// What a caller is told whose time ran out before its rows ran.
pub fn deadline_exceeded() -> ApiError {
    ApiError::new(
        ErrorKind::DeadlineExceeded,
        "the deadline passed while the request waited for the model; allow more time or send less at once",
    )
}
