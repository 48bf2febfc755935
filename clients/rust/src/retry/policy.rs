//! How far calls are sent again.

use std::time::Duration;

use torchmesh_retry::Backoff;

/// How often, how soon and how far calls are sent again.
///
/// ```
/// use std::time::Duration;
/// use torchmesh_client::RetryPolicy;
///
/// let patient = RetryPolicy::default().max_tries(8).backoff(Duration::from_millis(200), Duration::from_secs(10));
/// let none = RetryPolicy::none();
/// ```
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    pub(crate) max_tries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) longest_wait: Duration,
    pub(crate) budget_ratio: f64,
    pub(crate) budget_reserve: u32,
    pub(crate) keep_bytes: usize,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_tries: 4,
            backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) },
            longest_wait: Duration::from_secs(30),
            budget_ratio: 0.2,
            budget_reserve: 100,
            keep_bytes: 4 << 20,
        }
    }
}

impl RetryPolicy {
    /// Every call is sent once.
    pub fn none() -> Self {
        Self { max_tries: 1, ..Self::default() }
    }

    /// Tries of one call, the first included. Default 4; 1 (or 0) is none but the first.
    #[must_use]
    pub fn max_tries(self, tries: u32) -> Self {
        Self { max_tries: tries, ..self }
    }

    /// The longest wait after the first failure, which doubles with each further one, and the longest of all. Default 100 ms and 5 s. How much of
    /// it is waited, chance decides (full jitter).
    #[must_use]
    pub fn backoff(self, first: Duration, most: Duration) -> Self {
        Self { backoff: Backoff { first, most }, ..self }
    }

    /// The longest wait that a server may ask for. Default 30 s. When it asks for more, its refusal goes to the caller at once.
    #[must_use]
    pub fn longest_wait(self, wait: Duration) -> Self {
        Self { longest_wait: wait, ..self }
    }

    /// Tries that each call earns beyond its first, from 0 to 1, and how many can be saved up, which is also what there is at the beginning. Default 0.2 and 100.
    /// When none are left, failures go to their callers at once.
    #[must_use]
    pub fn budget(self, ratio: f64, reserve: u32) -> Self {
        Self { budget_ratio: ratio.clamp(0.0, 1.0), budget_reserve: reserve, ..self }
    }

    /// The largest request that is kept to be sent again; larger ones are sent once. Default 4 MiB.
    #[must_use]
    pub fn keep_bytes(self, bytes: usize) -> Self {
        Self { keep_bytes: bytes, ..self }
    }
}
