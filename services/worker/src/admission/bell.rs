//! Wakes between the data threads and the executors: one for many requests, in both directions.
//!
//! A wake across threads is a system call and, as often as not, a switch of processes: more than all the rest that the worker does for
//! a small request. So a data thread wakes an executor once it has admitted all that arrived together, and an executor wakes a data
//! thread once for all answers of a batch.

use std::{
    cell::RefCell,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Poll, Waker},
};

use parking_lot::Mutex;

use super::Queue;

thread_local! {
    static HERE: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

/// A data thread's side: the queues whose executors are to be woken when the calls that are ready have run.
struct Bell {
    letters: Arc<Letters>,
    queues: Vec<Arc<Queue>>,
}

/// A data thread's letter box: callers whose answers are there.
#[derive(Debug, Default)]
pub(super) struct Letters {
    wakers: Mutex<Vec<Waker>>,
    task: Mutex<Option<Waker>>,
}

/// Installs the bell of this thread. Must be called on the thread's own `current_thread` runtime. Without a bell every wake goes out alone.
pub fn install() {
    let letters = Arc::new(Letters::default());
    HERE.set(Some(Bell { letters: Arc::clone(&letters), queues: Vec::new() }));
    let mut delivered = Vec::new();
    tokio::spawn(poll_fn(move |cx| {
        letters.listen(cx.waker());
        mem::swap(&mut *letters.wakers.lock(), &mut delivered);
        for waker in delivered.drain(..) {
            waker.wake();
        }
        ring_out();
        Poll::<()>::Pending
    }));
}

/// Rings for the queues that were noted. Runs behind the calls that are ready now, so all of them are in their queues.
fn ring_out() {
    let mut queues = HERE.with_borrow_mut(|bell| bell.as_mut().map(|bell| mem::take(&mut bell.queues)).unwrap_or_default());
    for queue in queues.drain(..) {
        queue.ring();
    }
    // The list's memory is used again.
    HERE.with_borrow_mut(|bell| bell.as_mut().map(|bell| bell.queues = queues));
}

/// Sees to it that an executor of `queue` is woken: soon, or at once where there is no bell.
pub(super) fn note(queue: &Arc<Queue>) {
    let letters = HERE.with_borrow_mut(|bell| {
        let bell = bell.as_mut()?;
        if bell.queues.iter().any(|noted| Arc::ptr_eq(noted, queue)) {
            return Some(None);
        }
        bell.queues.push(Arc::clone(queue));
        Some(Some(Arc::clone(&bell.letters)))
    });
    match letters {
        None => queue.ring(),
        Some(None) => {}
        Some(Some(letters)) => letters.call(),
    }
}

/// The letter box of this thread.
pub(super) fn letters_here() -> Option<Arc<Letters>> {
    HERE.with_borrow(|bell| bell.as_ref().map(|bell| Arc::clone(&bell.letters)))
}

/// A caller to wake, and where it lives.
#[derive(Debug)]
pub struct Wake {
    pub(super) waker: Waker,
    pub(super) letters: Option<Arc<Letters>>,
}

impl Wake {
    /// Wakes a caller alone.
    pub fn now(self) {
        self.waker.wake();
    }

    /// Wakes many callers, with one call for each thread that they live on.
    pub fn all(mut wakes: Vec<Self>) {
        while let Some(last) = wakes.pop() {
            let Some(letters) = last.letters else {
                last.waker.wake();
                continue;
            };
            let neighbours = wakes.extract_if(.., |wake| wake.letters.as_ref().is_some_and(|other| Arc::ptr_eq(other, &letters)));
            let mut neighbours = neighbours.map(|wake| wake.waker).peekable();
            if neighbours.peek().is_none() {
                last.waker.wake();
            } else {
                letters.wakers.lock().extend(neighbours.chain([last.waker]));
                letters.call();
            }
        }
    }
}

impl Letters {
    fn listen(&self, waker: &Waker) {
        let mut task = self.task.lock();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    fn call(&self) {
        if let Some(task) = &*self.task.lock() {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::testing::{Bench, request, until, wait};

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl std::task::Wake for Counter {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn requests_that_arrive_together_run_in_one_batch_though_the_executor_stood_ready() {
        let bench = Bench::start("");
        let queue = &bench.queue;
        until("the executor stands ready", || queue.idle_executors() == 1);
        wait(async {
            super::install();
            let calls = (1..=20).map(|value| {
                let queue = std::sync::Arc::clone(queue);
                tokio::spawn(async move { queue.push(request(&[value])).unwrap().await.unwrap().len() })
            });
            for call in calls.collect::<Vec<_>>() {
                assert_eq!(call.await.unwrap(), 1);
            }
        });
        assert_eq!(bench.seen.shapes(), [[20, 1]]);
    }

    #[test]
    fn callers_of_one_thread_are_woken_by_one_letter() {
        let letters = std::sync::Arc::new(super::Letters::default());
        let (task, callers) = (std::sync::Arc::new(Counter::default()), std::sync::Arc::new(Counter::default()));
        letters.listen(&std::sync::Arc::clone(&task).into());
        let wake = |letters| super::Wake { waker: std::sync::Arc::clone(&callers).into(), letters };
        super::Wake::all(vec![wake(Some(letters.clone())), wake(None), wake(Some(letters.clone()))]);
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(callers.0.load(Ordering::Relaxed), 1, "the one that lives elsewhere");
        assert_eq!(letters.wakers.lock().len(), 2);
    }
}
