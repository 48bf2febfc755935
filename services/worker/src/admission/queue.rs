//! The bounded queue between callers and executors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{Batch, Pending, Piece, Submission, Ticket, bell, state::State};
use crate::{
    batching,
    manifest::{Batching, QueueLimits},
};

/// How much weight a new forward has in the moving average of its speed.
const SMOOTHING: f64 = 0.2;

/// What a queue is told when it is made.
#[derive(Debug)]
pub struct QueueSettings {
    /// How much may wait.
    pub limits: QueueLimits,
    /// Which requests run together.
    pub batching: Batching,
    /// How many executors take from it.
    pub instances: usize,
    /// Set to the number of waiting requests.
    pub depth: Gauge,
    /// Counts requests that left before they cost a forward.
    pub dropped: Counter,
}

/// The queue of one model version. Callers push and wait; executors pull when they are free.
#[derive(Debug)]
pub struct Queue {
    settings: QueueSettings,
    state: Mutex<State>,
    arrived: Condvar,
    filled: Condvar,
    /// Seconds that a row of a forward takes, a moving average, as the bits of an `f64`.
    pace: AtomicU64,
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: QueueSettings) -> Arc<Self> {
        Arc::new(Self { settings, state: Mutex::default(), arrived: Condvar::new(), filled: Condvar::new(), pace: AtomicU64::new(0) })
    }

    /// Admits a request, or refuses it at once: `ResourceExhausted` with a retry hint when the queue is full, the reason of
    /// [`Queue::close`] when it is closed.
    pub fn push(self: &Arc<Self>, submission: Submission) -> Result<Pending, ApiError> {
        let Submission { parts, deadline, span } = submission;
        let (rows, bytes) = parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes()));
        let ticket = Arc::new(Ticket::new(rows, parts.len(), Instant::now(), deadline, span));
        let mut state = self.state.lock();
        self.admits(&state, bytes)?;
        state.push(&ticket, parts);
        self.show_depth(&state);
        let wanted = state.idle > 0 || self.is_filled(&state);
        drop(state);
        if wanted {
            bell::note(self);
        }
        Ok(Pending { ticket, queue: Arc::clone(self), done: false })
    }

    fn admits(&self, state: &State, bytes: usize) -> Result<(), ApiError> {
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
        let wait = batching::retry_after(state.rows, self.settings.instances, f64::from_bits(self.pace.load(Ordering::Relaxed)));
        let message = format!("the queue is full ({} requests wait); try again in {} ms", state.requests, wait.as_millis().max(1));
        Err(ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(wait))
    }

    /// Waits for work and takes a batch; `None` once the queue is closed.
    ///
    /// Requests whose deadline has passed are answered here and never reach a batch.
    pub fn pull(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            if state.closed.is_some() {
                return None;
            }
            let now = Instant::now();
            let expired = state.remove_expired(now);
            if !expired.is_empty() {
                self.show_depth(&state);
                parking_lot::MutexGuard::unlocked(&mut state, || self.refuse(&expired, &deadline_exceeded()));
            } else if state.is_empty() {
                state.idle += 1;
                self.arrived.wait(&mut state);
                state.idle -= 1;
            } else {
                match state.next(now, &self.settings.batching) {
                    Ok(batch) => {
                        state.release(batch.pieces.iter().map(|piece| &piece.ticket));
                        self.show_depth(&state);
                        let more = !state.is_empty() && state.idle > 0;
                        drop(state);
                        if more {
                            self.arrived.notify_one();
                        }
                        return Some(batch);
                    }
                    Err(until) => {
                        state.lingering += 1;
                        self.filled.wait_until(&mut state, until);
                        state.lingering -= 1;
                    }
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
        let removed = state.remove(|other| std::ptr::eq(other, &raw const **ticket));
        self.show_depth(&state);
        drop(state);
        if !removed.is_empty() {
            self.settings.dropped.inc();
        }
    }

    /// Remembers how long a forward took, for retry hints.
    pub fn learn(&self, rows: usize, seconds: f64) {
        let now = seconds / rows.max(1) as f64;
        let before = f64::from_bits(self.pace.load(Ordering::Relaxed));
        let next = if before > 0.0 { before + SMOOTHING * (now - before) } else { now };
        // Two executors at once may lose one sample of an average, which does no harm.
        self.pace.store(next.to_bits(), Ordering::Relaxed);
    }

    /// Refuses what waits and whatever comes, and sends the executors home. The first reason stays.
    pub fn close(&self, reason: &ApiError) {
        let mut state = self.state.lock();
        let reason = state.closed.get_or_insert_with(|| reason.clone()).clone();
        let refused = state.remove(|_| true);
        self.settings.depth.set(0);
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
        let (idle, filled) = (state.idle > 0, self.is_filled(&state));
        // After the lock is free, so that whoever wakes does not meet it.
        drop(state);
        if idle {
            self.arrived.notify_one();
        } else if filled {
            self.filled.notify_one();
        }
    }

    /// Whether an executor waits for a batch to fill that is full now.
    fn is_filled(&self, state: &State) -> bool {
        state.lingering > 0 && state.rows >= self.settings.batching.max_batch
    }

    fn show_depth(&self, state: &State) {
        self.settings.depth.set(i64::try_from(state.requests).unwrap_or(i64::MAX));
    }

    /// How many executors wait for anything.
    #[cfg(test)]
    pub(crate) fn idle_executors(&self) -> usize {
        self.state.lock().idle
    }

    fn refuse(&self, pieces: &[Piece], reason: &ApiError) {
        for piece in pieces {
            if !piece.ticket.finished() {
                self.settings.dropped.inc();
                if let Some(waker) = piece.ticket.fail(reason.clone()) {
                    waker.now();
                }
            }
        }
    }
}

/// What a caller is told whose time ran out before its rows ran.
pub fn deadline_exceeded() -> ApiError {
    ApiError::new(
        ErrorKind::DeadlineExceeded,
        "the deadline passed while the request waited for the model; allow more time or send less at once",
    )
}
