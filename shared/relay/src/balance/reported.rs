//! What an endpoint says of its own queue, in the header `x-torchmesh-load` of its answers.
//!
//! Latency tells what this hop's own calls have met, after the fact. A report tells of everybody's calls, those of other routers too, at the moment when it left. It grows old: it is believed less
//! by the same measure as latency, and what this hop has sent there since is added to it, which the endpoint could not know of.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use http::HeaderMap;
use torchmesh_api::headers::X_TORCHMESH_LOAD;

/// A header that is longer is none of ours.
const LONGEST: usize = 128;
/// Longer waits are as good as this one, in microseconds.
const LONGEST_WAIT: u64 = 3_600_000_000;
/// After so many times `balance.decay` a report says nothing any more: a twentieth of it would be left.
const FRESH: u32 = 3;

/// How busy an endpoint was when its answer left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that waited.
    pub depth: u64,
    /// How long one more would have waited, in microseconds.
    pub wait_us: u64,
}

impl Load {
    /// What an answer's head says; `None` where it says nothing, or nothing that can be read. Names that are not known are passed over.
    pub fn read(head: &HeaderMap) -> Option<Self> {
        let text = head.get(X_TORCHMESH_LOAD).filter(|value| value.len() <= LONGEST)?.to_str().ok()?;
        let (mut depth, mut wait_us) = (None, None);
        for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "depth" => depth = Some(value.trim().parse().ok()?),
                "wait-us" => wait_us = Some(value.trim().parse::<u64>().ok()?.min(LONGEST_WAIT)),
                _ => {}
            }
        }
        Some(Self { depth: depth?, wait_us: wait_us? })
    }
}

/// The last report of one endpoint.
///
/// Two answers at once may leave a mixture of both; the next makes up for it.
#[derive(Debug, Default)]
pub struct Reported {
    wait_us: AtomicU64,
    depth: AtomicU64,
    /// Microseconds on the caller's clock. 0: nothing was reported.
    at: AtomicU64,
    /// Calls that were sent there since.
    since: AtomicUsize,
}

impl Reported {
    /// The endpoint said this at `now`, in microseconds on one clock.
    pub fn told(&self, now: u64, load: Load) {
        self.wait_us.store(load.wait_us, Ordering::Relaxed);
        self.depth.store(load.depth, Ordering::Relaxed);
        self.since.store(0, Ordering::Relaxed);
        self.at.store(now.max(1), Ordering::Relaxed);
    }

    /// A call goes there.
    pub fn sent(&self) {
        self.since.fetch_add(1, Ordering::Relaxed);
    }

    /// What it said last.
    pub fn load(&self) -> Option<Load> {
        let said = self.at.load(Ordering::Relaxed) > 0;
        said.then(|| Load { depth: self.depth.load(Ordering::Relaxed), wait_us: self.wait_us.load(Ordering::Relaxed) })
    }

    /// What one more call would take at `now`, in microseconds, where a call takes `latency`: the reported wait, as far as it is believed yet, and the calls that were sent since with this one.
    /// `None` where nothing was reported, or too long ago.
    pub fn expected(&self, now: u64, latency: f64, decay: Duration) -> Option<f64> {
        let at = self.at.load(Ordering::Relaxed);
        let (age, decay) = (now.saturating_sub(at) as f64, decay.as_micros() as f64);
        if at == 0 || age > decay * f64::from(FRESH) {
            return None;
        }
        let wait = self.wait_us.load(Ordering::Relaxed) as f64 * (-age / decay).exp();
        Some(latency.mul_add(self.since.load(Ordering::Relaxed) as f64 + 1.0, wait))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const DECAY: Duration = Duration::from_secs(1);

    fn read(value: &[u8]) -> Option<Load> {
        let mut head = HeaderMap::new();
        head.insert(X_TORCHMESH_LOAD, HeaderValue::from_bytes(value).ok()?);
        Load::read(&head)
    }

    #[test]
    fn what_a_worker_says_is_read_and_what_is_not_known_is_passed_over() {
        assert_eq!(read(b"depth=3, wait-us=9100"), Some(Load { depth: 3, wait_us: 9100 }));
        assert_eq!(read(b"wait-us=7,kind=x,depth=0"), Some(Load { depth: 0, wait_us: 7 }));
        assert_eq!(read(b"depth=1, wait-us=18446744073709551615"), Some(Load { depth: 1, wait_us: LONGEST_WAIT }));
    }

    #[test]
    fn garbage_says_nothing() {
        let garbage: [&[u8]; 8] =
            [b"", b"depth=3", b"wait-us=3", b"depth=-1, wait-us=2", b"depth=1, wait-us=1e9", b"depth=1 wait-us=2", b"\xff\xfe", b"3, 9100"];
        for value in garbage {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(read(&[b"depth=1, wait-us=2".as_slice(), &[b' '; LONGEST]].concat()), None);
        assert_eq!(Load::read(&HeaderMap::new()), None);
    }

    #[test]
    fn a_report_that_is_too_old_says_nothing_and_the_next_one_does() {
        let reported = Reported::default();
        assert_eq!((reported.load(), reported.expected(5, 100.0, DECAY)), (None, None));
        reported.told(1, Load { depth: 2, wait_us: 500 });
        assert!(reported.expected(3_000_001, 100.0, DECAY).is_some());
        assert_eq!(reported.expected(3_000_002, 100.0, DECAY), None);
        reported.told(3_000_002, Load { depth: 0, wait_us: 0 });
        assert_eq!(reported.expected(3_000_002, 100.0, DECAY), Some(100.0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_is_written_is_read(bytes in prop::collection::vec(32_u8..=255, 0..200), depth: u64, wait_us in 0..=LONGEST_WAIT) {
            let _ = read(&bytes);
            prop_assert_eq!(read(format!("depth={depth}, wait-us={wait_us}").as_bytes()), Some(Load { depth, wait_us }));
        }

        #[test]
        fn more_wait_and_more_calls_make_it_more_and_age_makes_it_less_but_never_less_than_a_call_takes(
            wait_us in 0_u64..10_000_000, more in 0_u64..1_000_000, calls in 0_usize..50, latency in 1.0_f64..1e6, age in 0_u64..2_000_000, older in 0_u64..1_000_000,
        ) {
            let of = |wait_us, calls: usize, age| {
                let reported = Reported::default();
                reported.told(1, Load { depth: 0, wait_us });
                (0..calls).for_each(|_| reported.sent());
                reported.expected(1 + age, latency, DECAY).unwrap()
            };
            let expected = of(wait_us, calls, age);
            prop_assert!(of(wait_us + more, calls, age) >= expected);
            prop_assert!(of(wait_us, calls + 1, age) > expected);
            prop_assert!(of(wait_us, calls, age + older) <= expected);
            prop_assert!(expected >= latency * (calls as f64 + 1.0) && expected <= wait_us as f64 + latency * (calls as f64 + 1.0) + 1e-6);
        }
    }
}
