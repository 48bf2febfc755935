//! The threads that hold models. A process that ends while one of them gives a GPU's memory back is killed: the driver is gone before it.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::cuda;

static COUNT: Mutex<usize> = Mutex::new(0);
static FEWER: Condvar = Condvar::new();

/// A thread that holds a model, as long as this is there.
#[derive(Debug)]
pub struct Alive(());

impl Alive {
    /// Counts one more.
    pub fn begin() -> Self {
        *COUNT.lock() += 1;
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *COUNT.lock() -= 1;
        FEWER.notify_all();
    }
}

/// Where models run on a GPU, waits until no thread holds one, for so long at most. Then the process ends at once, with this code.
#[expect(unsafe_code, reason = "what else runs when a process ends takes the driver from under a thread that still works")]
pub fn let_models_end(most: Duration, code: i32) {
    if !cuda::was_used() || none_is_left(most) {
        return;
    }
    tracing::warn!("a model did not end in time");
    // SAFETY: it does not return, and runs nothing.
    unsafe { libc::_exit(code) }
}

/// Waits until no thread holds a model; whether that is so.
fn none_is_left(most: Duration) -> bool {
    let late = Instant::now() + most;
    let mut count = COUNT.lock();
    while *count > 0 {
        if FEWER.wait_until(&mut count, late).timed_out() {
            return *count == 0;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_models_goes_on_when_the_last_has_ended() {
        let alive = Alive::begin();
        assert!(!none_is_left(Duration::from_millis(1)));
        let waiting = std::thread::spawn(|| none_is_left(Duration::from_secs(60)));
        drop(alive);
        // Other tests have models too, each for a while.
        assert!(waiting.join().unwrap());
    }
}
