//! A stream of events that is made by a future, and goes with it.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tonic::Status;

type Work = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// What `work` sends to `events`, in order; then its error, if it has one. `work` runs only while the stream is read, and is dropped with it, so
/// that nothing outlives a caller who leaves.
pub(super) fn driven<T: Send + 'static>(
    work: impl Future<Output = Result<(), Status>> + Send + 'static,
    events: mpsc::Receiver<T>,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let work: Work = Box::pin(work);
    stream::unfold((Some(work), Ok(()), events), |(mut work, mut ended, mut events)| async move {
        if let Some(running) = &mut work {
            tokio::select! {
                biased;
                event = events.recv() => {
                    if let Some(event) = event {
                        return Some((Ok(event), (work, ended, events)));
                    }
                    // The work let go of its sender before its end.
                    ended = running.await;
                }
                done = &mut *running => ended = done,
            }
            work = None;
        }
        // What was sent before the end comes before it.
        if let Ok(event) = events.try_recv() {
            return Some((Ok(event), (work, ended, events)));
        }
        let error = std::mem::replace(&mut ended, Ok(())).err()?;
        Some((Err(error), (work, ended, events)))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn events_come_before_the_error_that_ends_them() {
        let (sender, events) = mpsc::channel(8);
        let work = async move {
            for event in 0..3 {
                sender.send(event).await.unwrap();
            }
            Err(Status::aborted("enough"))
        };
        let all: Vec<_> = driven(work, events).map(|item| item.map_err(|status| status.message().to_owned())).collect().await;
        assert_eq!(all, [Ok(0), Ok(1), Ok(2), Err("enough".to_owned())]);
    }

    #[tokio::test]
    async fn the_work_goes_with_the_stream() {
        let (sender, events) = mpsc::channel(1);
        let held = std::sync::Arc::new(());
        let inside = std::sync::Arc::clone(&held);
        let work = async move {
            sender.send(1).await.unwrap();
            std::future::pending::<()>().await;
            drop(inside);
            Ok(())
        };
        let mut stream = Box::pin(driven(work, events));
        assert!(stream.next().await.is_some());
        assert_eq!(std::sync::Arc::strong_count(&held), 2);
        drop(stream);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }
}
