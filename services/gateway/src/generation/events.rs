//! Server-sent events: one for each piece of an answer, written as it comes.

use std::{
    convert::Infallible,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body as AnswerBody, response::Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use http_body::{Body, Frame};
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep};
use torchmesh_api::error::ApiError;

use super::{Pieces, begun::PATIENCE};

/// Pieces that are there at once leave in one frame of about this size, in bytes; what has not come is never waited for.
const GATHERED: usize = 8 << 10;
/// A comment, which clients pass over.
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
/// Tells nginx, and those that took it over, to pass on what comes as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Events that are to be sent.
#[derive(Debug, Default)]
pub(crate) struct Written(BytesMut);

impl Written {
    /// One event.
    pub(crate) fn event(&mut self, data: &impl Serialize) {
        self.0.put_slice(b"data: ");
        // Fails only for maps whose keys are no texts, of which there are none.
        let _ = serde_json::to_writer((&mut self.0).writer(), data);
        self.0.put_slice(b"\n\n");
    }

    /// One event whose data are these words.
    pub(crate) fn words(&mut self, words: &str) {
        self.0.put_slice(b"data: ");
        self.0.put_slice(words.as_bytes());
        self.0.put_slice(b"\n\n");
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("JSON is text")
    }
}

/// A door's form of a stream.
pub(crate) trait Form<M>: Send + Unpin + 'static {
    /// A piece.
    fn piece(&mut self, piece: M, written: &mut Written);
    /// The end of an answer that is whole.
    fn end(&mut self, written: &mut Written);
    /// The end of one that is not.
    fn error(&mut self, error: ApiError, written: &mut Written);
}

/// The answer: its first piece, then what else comes. Nothing is taken of the pieces before the caller has room for it.
pub(crate) fn answer<M: Send + Unpin + 'static>(first: Option<M>, pieces: Pieces<M>, form: impl Form<M>) -> Response {
    let silence = Box::pin(sleep(PATIENCE));
    let mut response = Response::new(AnswerBody::new(Events { first, pieces: Some(pieces), form, silence, spoke: Instant::now() }));
    for (name, value) in [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache"), (X_ACCEL_BUFFERING, "no")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

struct Events<M, F> {
    first: Option<M>,
    /// `None` once the answer has ended.
    pieces: Option<Pieces<M>>,
    form: F,
    /// Ends at `spoke` and [`PATIENCE`], or earlier: it is only set anew when it has ended.
    silence: Pin<Box<Sleep>>,
    spoke: Instant,
}

impl<M, F: Form<M>> Events<M, F> {
    fn write(&mut self, written: &mut Written, cx: &mut Context<'_>) {
        if let Some(first) = self.first.take() {
            self.form.piece(first, written);
        }
        while written.0.len() < GATHERED
            && let Some(pieces) = &mut self.pieces
            && let Poll::Ready(next) = pieces.as_mut().poll_next(cx)
        {
            match next {
                Some(Ok(piece)) => self.form.piece(piece, written),
                Some(Err(error)) => {
                    self.pieces = None;
                    self.form.error(error, written);
                }
                None => {
                    self.pieces = None;
                    self.form.end(written);
                }
            }
        }
    }

    /// Whether nothing was said for too long.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        while self.silence.as_mut().poll(cx).is_ready() {
            let late = self.spoke.elapsed() >= PATIENCE;
            if late {
                self.spoke = Instant::now();
            }
            self.silence.as_mut().reset(self.spoke + PATIENCE);
            if late {
                // Registers the new end.
                let _ = self.silence.as_mut().poll(cx);
                return true;
            }
        }
        false
    }
}

impl<M: Unpin, F: Form<M>> Body for Events<M, F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut written = Written::default();
        self.write(&mut written, cx);
        if !written.0.is_empty() {
            self.spoke = Instant::now();
            return Poll::Ready(Some(Ok(Frame::data(written.0.freeze()))));
        }
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.is_silent(cx) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(KEEP_ALIVE)))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.pieces.is_none()
    }
}
