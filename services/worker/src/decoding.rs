//! Decoding images and sound on threads of its own: it takes as long as a thousand calls of the async runtime, which must not wait for it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use torchmesh_api::error::{ApiError, ErrorKind};

/// Bytes that may be on their way through the threads, files and what is made of them together; a call that would exceed it is refused.
const MAX_BYTES: usize = 512 << 20;
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The threads. Dropping it sends them home.
#[derive(Debug)]
pub struct DecodingPool {
    shared: Arc<Shared>,
}

/// A call's share of the memory; it is given back when this is dropped.
#[derive(Debug)]
pub struct Admission {
    shared: Arc<Shared>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("waiting", &self.waiting.len()).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

type Job = Box<dyn FnOnce() + Send>;

impl DecodingPool {
    /// Starts `threads` threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("decoding-{index}")).spawn(move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Lets a call in that will hold `bytes`, or refuses it with `ResourceExhausted` when too much is on its way.
    ///
    /// A call alone is always let in: what one may bring, the message's limit says.
    pub fn admit(&self, bytes: usize) -> Result<Admission, ApiError> {
        let mut state = self.shared.state.lock();
        if state.bytes > 0 && state.bytes.saturating_add(bytes) > MAX_BYTES {
            let message = format!("too much waits to be decoded; try again in {} ms", RETRY_AFTER.as_millis());
            return Err(ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(RETRY_AFTER));
        }
        state.bytes += bytes;
        Ok(Admission { shared: Arc::clone(&self.shared), bytes })
    }

    /// Runs `work` on one of the threads. Work that has not begun when the future is dropped is not done.
    ///
    /// Errors: those of `work`; `Internal` when it panics.
    pub async fn run<T, F>(&self, _: &Admission, work: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, ApiError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = move || {
            if reply.is_closed() {
                return;
            }
            let done = catch_unwind(AssertUnwindSafe(work));
            // The caller may have left meanwhile.
            let _ =
                reply.send(done.unwrap_or_else(|_| Err(ApiError::new(ErrorKind::Internal, "the decoder broke on this request's data"))));
        };
        self.shared.state.lock().waiting.push_back(Box::new(job));
        self.shared.arrived.notify_one();
        answer.await.unwrap_or_else(|_| Err(ApiError::new(ErrorKind::Unavailable, "the worker is shutting down")))
    }
}

impl Drop for DecodingPool {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.arrived.notify_all();
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.state.lock().bytes -= self.bytes;
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            job();
        }
    }

    /// The next job; `None` once the pool is closed.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(job) => return Some(job),
                None => self.arrived.wait(&mut state),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread() {
        let pool = DecodingPool::start(1).unwrap();
        let admission = pool.admit(1).unwrap();
        let here = std::thread::current().id();
        let there = pool.run(&admission, || Ok(std::thread::current().id())).await.unwrap();
        assert_ne!(here, there);
    }

    #[tokio::test]
    async fn a_decoder_that_breaks_breaks_its_own_call_only() {
        let pool = DecodingPool::start(1).unwrap();
        let admission = pool.admit(1).unwrap();
        let broken = pool.run(&admission, || -> Result<(), _> { panic!("a bug in a decoder") }).await;
        assert_eq!(broken.unwrap_err().kind, ErrorKind::Internal);
        assert_eq!(pool.run(&admission, || Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_done() {
        let pool = DecodingPool::start(1).unwrap();
        let admission = pool.admit(1).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let busy = pool.run(&admission, move || Ok(gate.recv().is_ok()));
        let (done, seen) = mpsc::channel();
        let left = pool.run(&admission, move || Ok(done.send(())));
        tokio::pin!(busy);
        tokio::select! {
            biased;
            _ = &mut busy => unreachable!("the gate is closed"),
            () = async {} => {}
        }
        {
            tokio::pin!(left);
            tokio::select! {
                biased;
                _ = &mut left => unreachable!("the thread is busy"),
                () = async {} => {}
            }
        }
        go.send(()).unwrap();
        assert!(busy.await.unwrap());
        pool.run(&admission, || Ok(())).await.unwrap();
        assert!(seen.recv().is_err(), "its work was thrown away unbegun");
    }

    #[test]
    fn a_call_too_many_is_refused_until_another_has_gone() {
        let pool = DecodingPool::start(1).unwrap();
        let large = pool.admit(MAX_BYTES + 1).unwrap();
        assert_eq!(pool.admit(1).unwrap_err().kind, ErrorKind::ResourceExhausted);
        drop(large);
        assert!(pool.admit(1).is_ok());
    }
}
