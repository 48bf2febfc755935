//! Work on large bodies, done beside the data thread: other calls of the thread must not wait for it.

use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};

use tokio::{sync::Semaphore, task::spawn_blocking};
use torchmesh_api::error::{ApiError, ErrorKind};

/// Work on no more bytes than this takes less than a millisecond: moving it to another thread would gain nothing.
const LITTLE: usize = 256 << 10;

/// As much at once as there are cores; the rest waits.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Does work on so many bytes: here if they are few, on a thread of its own otherwise.
///
/// Error: Internal, when the work panicked.
pub async fn run<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    if bytes <= LITTLE {
        return Ok(work());
    }
    // Never closed, so there is always a place in the end.
    let _place = PLACES.acquire().await;
    spawn_blocking(work).await.map_err(|_| ApiError::new(ErrorKind::Internal, "the body could not be worked on"))
}
