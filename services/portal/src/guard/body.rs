//! Bodies, which have an end and come within a time: whoever sends one holds a place until it is there.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::StatusCode;
use tokio::time::timeout;

use crate::fail::{Answer, Fail};

/// The whole body; 413 when it is longer than this, 408 when it is not there within the time.
pub async fn whole(body: Body, longest: usize, within: Duration) -> Answer<Bytes> {
    let read = timeout(within, to_bytes(body, longest)).await.map_err(|_| Fail::new(StatusCode::REQUEST_TIMEOUT))?;
    read.map_err(|_| Fail::new(StatusCode::PAYLOAD_TOO_LARGE))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_is_read_whole_or_refused_for_its_length_or_its_slowness() {
        let second = Duration::from_secs(1);
        assert_eq!(whole(Body::from("four"), 4, second).await.unwrap(), "four");
        assert_eq!(whole(Body::from("fiver"), 4, second).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        assert_eq!(whole(stalled, 4, second).await.unwrap_err().status, StatusCode::REQUEST_TIMEOUT);
    }
}
