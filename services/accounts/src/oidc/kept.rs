//! Something of a provider's that is read when it is needed, by one at a time, and kept for a while.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// How soon it is read again where it has never been read.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Kept<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    value: Option<(Instant, Arc<T>)>,
    tried: Option<Instant>,
}

impl<T> Kept<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { value: None, tried: None }))
    }

    /// What was read within `fresh`; otherwise it is read now, if that was not tried within `apart`. What was read before goes on where it cannot be.
    ///
    /// Error: it has never been read.
    pub(super) async fn get(
        &self,
        fresh: Duration,
        apart: Duration,
        read: impl AsyncFnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let mut state = self.0.lock().await;
        if let Some((at, value)) = &state.value
            && at.elapsed() < fresh
        {
            return Ok(Arc::clone(value));
        }
        let apart = if state.value.is_some() { apart } else { apart.min(AGAIN) };
        let mut failed = "it could not be read a moment ago".to_owned();
        if state.tried.is_none_or(|tried| tried.elapsed() >= apart) {
            let done = read().await;
            state.tried = Some(Instant::now());
            match done {
                Ok(value) => state.value = Some((Instant::now(), Arc::new(value))),
                Err(why) => failed = why,
            }
        }
        state.value.as_ref().map(|(_, value)| Arc::clone(value)).ok_or(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_read_when_it_is_old_and_not_too_often_and_goes_on_where_it_cannot_be() {
        let kept = Kept::new();
        let get = async |fresh, read: Result<i32, String>| kept.get(fresh, 10 * SECOND, async || read).await.map(|value| *value);
        assert!(get(MINUTE, Err("away".to_owned())).await.is_err_and(|why| why == "away"));
        assert!(get(MINUTE, Ok(1)).await.is_err(), "it was tried a moment ago");
        tokio::time::advance(SECOND).await;
        assert_eq!(get(MINUTE, Ok(1)).await, Ok(1));
        assert_eq!(get(MINUTE, Ok(2)).await, Ok(1), "it is fresh");
        assert_eq!(get(Duration::ZERO, Ok(2)).await, Ok(1), "a newer one is asked for too soon");
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(get(Duration::ZERO, Ok(2)).await, Ok(2));
        tokio::time::advance(MINUTE).await;
        assert_eq!(get(MINUTE, Err("away".to_owned())).await, Ok(2));
    }
}
