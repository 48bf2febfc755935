//! Writes gathered until the task that makes them has nothing more to do.
//!
//! The `h2` crate writes to its transport after every message of more than 256 bytes. A connection that carries 64 calls at once then pays
//! 64 system calls where one would do, and they are most of what a hop costs. [`gather`] puts a buffer between the two: what the
//! connection writes is kept, and [`Flusher::flushing`] sends it when the connection's task is about to sleep, never later.
//!
//! Large payloads are not kept: they leave at once, in one vectored write with what came before them, without a copy.

mod gathering;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;

pub use gathering::Gathering;
use gathering::Held;

/// A transport whose writes wait, and what sends them.
pub fn gather<T>(io: T) -> (Gathering<T>, Flusher<T>) {
    let held = Arc::new(Mutex::new(Held::new(io)));
    (Gathering::new(Arc::clone(&held)), Flusher { held })
}

/// Sends what a [`Gathering`] keeps.
#[derive(Debug)]
pub struct Flusher<T> {
    held: Arc<Mutex<Held<T>>>,
}

impl<T: AsyncWrite + Unpin> Flusher<T> {
    /// Runs `work`, which owns the [`Gathering`]; each time it has nothing more to do, what it wrote is sent.
    ///
    /// A write that fails is reported by the next read or write of the [`Gathering`].
    pub async fn flushing<F: Future>(self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|cx| self.poll(work.as_mut(), cx)).await
    }

    fn poll<F: Future>(&self, work: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let done = work.poll(cx);
        if self.held.lock().send_or_remember(cx) && done.is_pending() {
            cx.waker().wake_by_ref();
        }
        done
    }
}
