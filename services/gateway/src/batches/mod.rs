//! Many calls at once, for whoever can wait: a file of lines goes in, each line a call, and a file of answers comes out.
//!
//! [`doors`] speak OpenAI's form of it (`/v1/files`, `/v1/batches`). What there is lies in a folder, the [`shelf`], and the bytes of files perhaps in an object store ([`contents`]); a [`batch`] is run line by line by whichever gateway holds its
//! lock ([`run`]), through the same layers as a caller's calls, so that limits, grants and the meter hold for them too. Every answer is on the disk before it counts as
//! given: whoever is killed is taken over from where it was, and a line whose answer was lost is asked again and billed once.

mod answers;
mod batch;
mod call;
mod contents;
mod doors;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lines;
mod metrics;
mod owner;
mod run;
mod settings;
mod shelf;

pub use doors::routes;
pub use run::start;
pub use settings::BatchSettings;

use std::sync::Arc;

use tokio::{runtime::Handle, sync::Notify};
use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_runtime::process::StartError;

use contents::Contents;
use shelf::Shelf;

/// The paths whose calls a batch may have.
pub(crate) const ENDPOINTS: [&str; 5] = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/rerank"];

/// The batches of a gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Batches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shelf: Shelf,
    settings: BatchSettings,
    /// The longest line, in bytes: as long as a call's message may be.
    max_line: usize,
    /// Told when there is a new batch.
    news: Notify,
}

impl Batches {
    /// Opens the folder; `None` where none is set. A line may have `max_line` bytes. An object store is spoken to on `control`.
    pub fn open(settings: &BatchSettings, max_line: usize, control: &Handle) -> Result<Option<Self>, StartError> {
        let Some(folder) = &settings.folder else { return Ok(None) };
        let contents = settings.store.as_ref().map(|url| Contents::open(url, control));
        let contents = contents.transpose().map_err(|error| format!("batches.store: {error}"))?;
        let shelf = Shelf::open(folder, contents).map_err(|error| format!("batches.folder: {}: {error}", folder.display()))?;
        Ok(Some(Self(Arc::new(Inner { shelf, settings: settings.clone(), max_line, news: Notify::new() }))))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a caller is told when the folder fails, or the store.
fn failed(error: &std::io::Error) -> ApiError {
    tracing::error!(%error, "batches.folder or batches.store cannot be used");
    ApiError::new(ErrorKind::Unavailable, "files and batches cannot be read or written at the moment; try again later")
}

/// A name that nobody can guess: 24 letters and digits, some 140 bits.
fn draw() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(24).collect()
}
