//! Waiting for something to become true, with a bound, and for a whole test.

use std::{
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

/// How often is asked.
const PAUSE: Duration = Duration::from_millis(2);
/// The longest that one test may take: far more than it needs, and less than anybody's patience with a test that hangs.
const WHOLE_TEST: Duration = Duration::from_secs(100);

/// Asks until the answer is there, and returns it. Panics with `what` when it is not there within `bound`.
pub async fn eventually<T>(what: &str, bound: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < bound, "not within {bound:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a test on a runtime of its own. A test that takes longer than 100 seconds fails instead of hanging.
pub fn bounded<T>(test: impl Future<Output = T>) -> T {
    bounded_by(WHOLE_TEST, test)
}

/// Runs a test on a runtime of its own. A test that takes longer fails instead of hanging.
pub fn bounded_by<T>(bound: Duration, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut test = pin!(test);
        tokio::select! {
            done = &mut test => done,
            // The test is dropped while this panic unwinds, so that its sandbox shows the logs.
            () = tokio::time::sleep(bound) => panic!("the test is not done within {bound:?}"),
        }
    })
}

/// The middle one of some durations.
pub fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
