//! Tokenising on threads of its own: it takes as long as a thousand calls of the async runtime, which must not wait for it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{Source, Tokenised, Tokeniser};
use crate::manifest::Truncation;

/// Jobs that may wait; one more is refused.
const MAX_JOBS: usize = 4096;
/// Bytes of text that may wait; what would exceed it is refused.
const MAX_BYTES: usize = 256 << 20;
/// Bytes of one job that are tokenised before the next job has its turn, so that a large one does not hold up the small.
const TURN: usize = 64 << 10;
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The texts of one request.
#[derive(Debug)]
pub struct Job {
    /// With what.
    pub tokeniser: Arc<Tokeniser>,
    /// The texts.
    pub texts: Vec<Source>,
    /// What becomes of a text that is too long.
    pub truncation: Truncation,
    /// Whether it is to be known where each token comes from.
    pub places: bool,
    /// Where the time is counted.
    pub seconds: Histogram,
}

/// The threads. Dropping it sends them home.
#[derive(Debug)]
pub struct TokeniserPool {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Progress>,
    bytes: usize,
    idle: usize,
    closed: bool,
}

/// A job and how far it has come.
#[derive(Debug)]
struct Progress {
    job: Job,
    bytes: usize,
    done: Vec<Tokenised>,
    spent: Duration,
    reply: oneshot::Sender<Result<Vec<Tokenised>, ApiError>>,
}

impl TokeniserPool {
    /// Starts `threads` threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("tokeniser-{index}")).spawn(move || shared.work())?;
        }
        Ok(Self { shared })
    }

    /// Tokenises the texts, in order. `ResourceExhausted` at once when too much waits; dropping the future drops the job.
    pub async fn tokenise(&self, job: Job) -> Result<Vec<Tokenised>, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.shared.push(job, reply)?;
        answer.await.unwrap_or_else(|_| Err(ApiError::new(ErrorKind::Unavailable, "the worker is shutting down")))
    }
}

impl Drop for TokeniserPool {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn push(&self, job: Job, reply: oneshot::Sender<Result<Vec<Tokenised>, ApiError>>) -> Result<(), ApiError> {
        let bytes = job.texts.iter().map(|source| source.text().len()).sum();
        let mut state = self.state.lock();
        if state.waiting.len() >= MAX_JOBS || state.bytes + bytes > MAX_BYTES {
            let message = format!("too much text waits to be tokenised; try again in {} ms", RETRY_AFTER.as_millis());
            return Err(ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(RETRY_AFTER));
        }
        let done = Vec::with_capacity(job.texts.len());
        state.bytes += bytes;
        state.waiting.push_back(Progress { job, bytes, done, spent: Duration::ZERO, reply });
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    fn work(&self) {
        while let Some(mut progress) = self.next() {
            // The state of a tokeniser that panicked is no worse than before: it has none but a cache.
            let turn = catch_unwind(AssertUnwindSafe(|| progress.turn()));
            let outcome =
                turn.unwrap_or_else(|_| Some(Err(ApiError::new(ErrorKind::Internal, "the tokeniser broke on this request's text"))));
            match outcome {
                Some(outcome) => {
                    self.state.lock().bytes -= progress.bytes;
                    progress.job.seconds.observe(progress.spent.as_secs_f64());
                    // The caller may have left meanwhile.
                    let _ = progress.reply.send(outcome);
                }
                None => self.state.lock().waiting.push_back(progress),
            }
        }
    }

    /// The next job whose caller still waits; `None` once the pool is closed.
    fn next(&self) -> Option<Progress> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(left) if left.reply.is_closed() => state.bytes -= left.bytes,
                Some(progress) => return Some(progress),
                None => {
                    state.idle += 1;
                    self.arrived.wait(&mut state);
                    state.idle -= 1;
                }
            }
        }
    }
}

impl Progress {
    /// Tokenises some of the texts; the outcome when that was all, an error, or nobody waits any more.
    fn turn(&mut self) -> Option<Result<Vec<Tokenised>, ApiError>> {
        let started = Instant::now();
        let mut bytes = 0;
        while let Some(text) = self.job.texts.get(self.done.len()) {
            if bytes > TURN {
                self.spent += started.elapsed();
                return None;
            }
            if self.reply.is_closed() {
                break;
            }
            bytes += text.text().len();
            match self.job.tokeniser.encode(text, self.done.len(), self.job.truncation, self.job.places) {
                Ok(tokenised) => self.done.push(tokenised),
                Err(error) => return Some(Err(error)),
            }
        }
        self.spent += started.elapsed();
        Some(Ok(std::mem::take(&mut self.done)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tokeniser::tests::TINY, *};

    fn job(texts: &[&str]) -> Job {
        Job {
            tokeniser: Arc::new(Tokeniser::parse(TINY.as_bytes(), 8).unwrap()),
            texts: texts.iter().map(|text| Source::Text((*text).to_owned())).collect(),
            truncation: Truncation::End,
            places: false,
            seconds: Histogram::new([1.0]),
        }
    }

    #[tokio::test]
    async fn texts_come_back_in_their_order() {
        let pool = TokeniserPool::start(2).unwrap();
        let made = pool.tokenise(job(&["a", "b c", ""])).await.unwrap();
        let ids: Vec<_> = made.into_iter().map(|mut text| text.windows.remove(0).ids).collect();
        assert_eq!(ids, [vec![2, 4, 3], vec![2, 5, 6, 3], vec![2, 3]]);
    }

    #[tokio::test]
    async fn a_small_job_does_not_wait_for_the_whole_of_a_large_one() {
        let shared = Shared::default();
        let long = "a ".repeat(TURN);
        let (large, _large) = oneshot::channel();
        let (small, _small) = oneshot::channel();
        shared.push(job(&[&long, &long, &long]), large).unwrap();
        shared.push(job(&["a"]), small).unwrap();
        let mut first = shared.next().unwrap();
        assert!(first.turn().is_none(), "its turn ends before its texts do");
        assert_eq!(first.done.len(), 1);
        assert_eq!(shared.next().unwrap().job.texts.len(), 1, "then it is the small one's turn");
    }

    #[tokio::test]
    async fn a_job_whose_caller_left_is_skipped() {
        let shared = Shared::default();
        let (left, gone) = oneshot::channel();
        let (stays, _waits) = oneshot::channel();
        shared.push(job(&["a", "b"]), left).unwrap();
        shared.push(job(&["c"]), stays).unwrap();
        drop(gone);
        assert_eq!(shared.next().unwrap().job.texts, [Source::Text("c".to_owned())]);
    }

    #[tokio::test]
    async fn too_many_jobs_are_refused_at_once() {
        let shared = Shared::default();
        let one = Arc::new(Tokeniser::parse(TINY.as_bytes(), 8).unwrap());
        let mut waiting = Vec::new();
        let refused = loop {
            let (reply, answer) = oneshot::channel();
            let job = Job { tokeniser: Arc::clone(&one), ..job(&[]) };
            match shared.push(job, reply) {
                Ok(()) => waiting.push(answer),
                Err(error) => break error,
            }
        };
        assert_eq!(waiting.len(), MAX_JOBS);
        assert_eq!((refused.kind, refused.retry_after), (ErrorKind::ResourceExhausted, Some(RETRY_AFTER)));
    }
}
