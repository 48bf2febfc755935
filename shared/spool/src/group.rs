//! Records that become durable together, and who waits for that.

use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;

const WAITING: u8 = 0;
const DURABLE: u8 = 1;
const LOST: u8 = 2;

/// The record could not be written: the disk or the spool is full, or broken. The log says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record could not be written")
    }
}

impl Error for Lost {}

#[derive(Debug, Default)]
pub(crate) struct Group {
    state: AtomicU8,
    wakers: Mutex<Vec<Waker>>,
}

impl Group {
    pub(crate) fn end(&self, durable: bool) {
        // Under the lock: whoever has looked at the state before has left its waker by now.
        let wakers = {
            let mut wakers = self.wakers.lock();
            self.state.store(if durable { DURABLE } else { LOST }, Ordering::Release);
            std::mem::take(&mut *wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    fn outcome(&self) -> Poll<Result<(), Lost>> {
        match self.state.load(Ordering::Acquire) {
            WAITING => Poll::Pending,
            DURABLE => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(Lost)),
        }
    }
}

/// Done when the record is durable. Dropping it changes nothing.
#[derive(Debug)]
pub struct Ticket {
    group: Arc<Group>,
    /// Its place among the wakers.
    place: Option<usize>,
}

impl Ticket {
    pub(crate) fn of(group: Arc<Group>) -> Self {
        Self { group, place: None }
    }

    /// One for a record that cannot be written.
    pub(crate) fn lost() -> Self {
        let group = Group::default();
        group.end(false);
        Self::of(Arc::new(group))
    }
}

impl Future for Ticket {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = this.group.outcome() {
            return Poll::Ready(outcome);
        }
        let mut wakers = this.group.wakers.lock();
        if let Poll::Ready(outcome) = this.group.outcome() {
            return Poll::Ready(outcome);
        }
        if let Some(waker) = this.place.and_then(|place| wakers.get_mut(place)) {
            waker.clone_from(cx.waker());
        } else {
            this.place = Some(wakers.len());
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
