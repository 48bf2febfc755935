//! A call of our own whose answer is a stream: one message there, many back.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header, uri::PathAndQuery};
use http_body::Body as _;
use tokio::time::{Sleep, sleep_until, timeout_at};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    peek,
};

use crate::{Call, Group, Relay, RelayBody, Source, Steering, unary::NoBody};

/// The longest message of a stream, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// The messages of an answer, as the endpoint writes them.
///
/// Nothing is asked of the endpoint before it is asked for here: what it may send ahead is one window of the stream. Dropping this resets the
/// stream, so that the endpoint learns at once that nobody reads any more.
#[derive(Debug)]
pub struct Messages {
    body: RelayBody<NoBody>,
    /// The answer's own headers: where an endpoint answers with a status alone, it is there.
    head: HeaderMap,
    come: BytesMut,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

impl Relay {
    /// Sends one framed message, and waits until the answer has begun: until its first bytes are here, or its end. Up to then another endpoint
    /// may be tried, as for any call.
    ///
    /// Errors: UNAVAILABLE, or DEADLINE_EXCEEDED. What the endpoint itself says is told by the messages.
    pub async fn stream(
        &self,
        path: &'static str,
        headers: HeaderMap,
        message: Bytes,
        deadline: Instant,
        group: &Arc<Group>,
    ) -> Result<Messages, ApiError> {
        self.stream_of(path, headers, Steering::default(), message, deadline, group).await
    }

    /// The same, to the endpoint that this decides on.
    ///
    /// Errors: as [`Self::stream`].
    pub async fn stream_of(
        &self,
        path: &'static str,
        mut headers: HeaderMap,
        steering: Steering,
        message: Bytes,
        deadline: Instant,
        group: &Arc<Group>,
    ) -> Result<Messages, ApiError> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        let (path, source) = (PathAndQuery::from_static(path), Source::whole([message].into()));
        let call: Call<NoBody> = Call { path, headers, deadline: Some(deadline), streaming: true, steering, source };
        // Boxed: callers of ours keep this in futures of their own, one within the other.
        let response = timeout_at(deadline.into(), Box::pin(self.send(call, group))).await.map_err(|_| time_is_up())??;
        let (head, body) = response.into_parts();
        let timer = Box::pin(sleep_until(deadline.into()));
        Ok(Messages { body, head: head.headers, come: BytesMut::new(), timer, over: false })
    }
}

impl Messages {
    /// What the endpoint says beside its messages.
    pub fn headers(&self) -> &HeaderMap {
        &self.head
    }

    /// The next message, its prefix taken off; `None` at the end of an answer that is OK. Nothing follows an error.
    ///
    /// Errors: what the endpoint ended with, UNAVAILABLE when it broke off, DEADLINE_EXCEEDED.
    pub async fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = match self.poll_come(cx) {
            Poll::Pending if self.timer.as_mut().poll(cx).is_ready() => Some(Err(time_is_up())),
            come => ready!(come).transpose(),
        };
        self.over = !matches!(next, Some(Ok(_)));
        if self.over {
            // Whoever keeps this for longer must not keep the endpoint's stream.
            self.body = RelayBody::empty();
        }
        Poll::Ready(next)
    }

    fn poll_come(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ApiError>> {
        loop {
            if let Some(message) = self.take()? {
                return Poll::Ready(Ok(Some(message)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.come.extend_from_slice(&data),
                    Err(other) => return Poll::Ready(self.ended(other.trailers_ref())),
                },
                Some(Err(_)) => return Poll::Ready(Err(broken_off())),
                None => return Poll::Ready(self.ended(None)),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, ApiError> {
        let wrong = |message| Err(ApiError::new(ErrorKind::Internal, message));
        let Some((compressed, length)) = peek::prefix(&self.come) else { return Ok(None) };
        if compressed {
            return wrong("an instance answered with a compressed message");
        }
        if length > MAX_MESSAGE {
            return wrong("an instance answered with a message that is too long");
        }
        if self.come.len() < peek::PREFIX + length {
            return Ok(None);
        }
        let mut message = self.come.split_to(peek::PREFIX + length).freeze();
        Ok(Some(message.split_off(peek::PREFIX)))
    }

    fn ended(&self, trailers: Option<&HeaderMap>) -> Result<Option<Bytes>, ApiError> {
        ApiError::from_trailers(trailers.unwrap_or(&self.head))?;
        if self.come.is_empty() { Ok(None) } else { Err(ApiError::new(ErrorKind::Internal, "an instance answered with half a message")) }
    }
}

fn time_is_up() -> ApiError {
    ApiError::new(ErrorKind::DeadlineExceeded, "the time allowed for this request is up")
}

fn broken_off() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "the instance stopped while it was answering; send the request again")
}
