//! A call of our own: one message there, one back.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header, uri::PathAndQuery};
use http_body::{Body, Frame};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame, peek,
};

use crate::{Call, Group, Relay, RelayBody, Source, Steering};

/// An answer that announces more than this gets its room as it comes.
const MOST_RESERVED: usize = 64 << 20;

/// A body that never is: our own calls are whole from the start.
#[derive(Debug)]
pub(crate) enum NoBody {}

impl Body for NoBody {
    type Data = Bytes;
    type Error = crate::BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, crate::BoxError>>> {
        match *self {}
    }
}

/// An answer that is OK.
#[derive(Debug)]
pub struct Reply {
    /// What the endpoint says beside its message.
    pub headers: HeaderMap,
    /// The message, its prefix taken off.
    pub message: Bytes,
}

impl Relay {
    /// Sends one framed message, in as many pieces as it comes.
    ///
    /// Errors: what the endpoint answered, UNAVAILABLE, or DEADLINE_EXCEEDED.
    pub async fn unary(
        &self,
        path: &'static str,
        headers: HeaderMap,
        message: impl Into<VecDeque<Bytes>>,
        deadline: Instant,
        group: &Arc<Group>,
    ) -> Result<Reply, ApiError> {
        self.unary_at(PathAndQuery::from_static(path), headers, message, deadline, group).await
    }

    /// As [`Self::unary`], for a path that came from somewhere.
    pub async fn unary_at(
        &self,
        path: PathAndQuery,
        mut headers: HeaderMap,
        message: impl Into<VecDeque<Bytes>>,
        deadline: Instant,
        group: &Arc<Group>,
    ) -> Result<Reply, ApiError> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let call: Call<NoBody> = Call {
            path,
            headers,
            deadline: Some(deadline),
            streaming: false,
            steering: Steering::default(),
            source: Source::whole(message.into()),
        };
        let answer = async {
            // Boxed: callers of ours keep this in futures of their own, one within the other.
            let response = Box::pin(self.send(call, group)).await?;
            let (head, body) = response.into_parts();
            let message = collect(&head.headers, body).await?;
            Ok(Reply { headers: head.headers, message })
        };
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(done) => done,
            Err(_) => Err(ApiError::new(ErrorKind::DeadlineExceeded, "the time allowed for this request is up")),
        }
    }
}

async fn collect(head: &HeaderMap, mut body: RelayBody<NoBody>) -> Result<Bytes, ApiError> {
    let (mut data, mut trailers) = (BytesMut::new(), None);
    while let Some(next) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let next = next.map_err(|_| ApiError::new(ErrorKind::Unavailable, "the instance stopped while it was answering; try again"))?;
        match next.into_data() {
            Ok(part) => {
                if data.is_empty() {
                    // Room for all of it at once: a large answer is copied once, not each time that the buffer has grown too small.
                    let announced = peek::prefix(&part).map_or(0, |(_, length)| peek::PREFIX + length);
                    data.reserve(announced.min(MOST_RESERVED));
                }
                data.extend_from_slice(&part);
            }
            Err(other) => trailers = other.into_trailers().ok(),
        }
    }
    ApiError::from_trailers(trailers.as_ref().unwrap_or(head))?;
    frame::message(data.freeze()).ok_or_else(|| ApiError::new(ErrorKind::Internal, "an instance answered with half a message"))
}
