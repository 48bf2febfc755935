//! How an answer begins: with its first piece, or with an error that is still an ordinary answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;
use torchmesh_api::error::ApiError;

use super::Pieces;

/// A caller that hears nothing for so long is told that it is not forgotten: what stands between it and us may hang up on silence.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for the first piece of an answer, but not longer than [`PATIENCE`]: `None` when nothing has come until then, or nothing comes at all.
///
/// Error: what the answer ends with in place of its first piece.
pub(crate) async fn begin<M>(pieces: &mut Pieces<M>) -> Result<Option<M>, ApiError> {
    match timeout(PATIENCE, pieces.next()).await {
        Ok(first) => first.transpose(),
        Err(_) => Ok(None),
    }
}
