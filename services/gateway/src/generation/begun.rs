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

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use torchmesh_api::error::ErrorKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_begins_with_its_first_piece_with_an_error_or_without_either_when_it_is_late() {
        let mut pieces: Pieces<u8> = stream::iter([Ok(1), Ok(2)]).boxed();
        assert_eq!(begin(&mut pieces).await, Ok(Some(1)));
        let refused = ApiError::new(ErrorKind::ResourceExhausted, "full");
        let mut pieces: Pieces<u8> = stream::iter([Err(refused.clone())]).boxed();
        assert_eq!(begin(&mut pieces).await, Err(refused));
        let late = stream::once(async {
            tokio::time::sleep(PATIENCE * 2).await;
            Ok(3)
        });
        let mut pieces: Pieces<u8> = late.boxed();
        assert_eq!(begin(&mut pieces).await, Ok(None));
        assert_eq!(pieces.next().await, Some(Ok(3)), "what was late is still to come");
    }
}
