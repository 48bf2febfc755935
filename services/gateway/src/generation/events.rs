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

    /// One event with a name of its own.
    pub(crate) fn named(&mut self, name: &str, data: &impl Serialize) {
        self.0.put_slice(b"event: ");
        self.0.put_slice(name.as_bytes());
        self.0.put_slice(b"\n");
        self.event(data);
    }

    /// One event whose data are these words.
    pub(crate) fn words(&mut self, words: &str) {
        self.0.put_slice(b"data: ");
        self.0.put_slice(words.as_bytes());
        self.0.put_slice(b"\n\n");
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use torchmesh_api::error::ErrorKind;

    use super::*;

    struct Letters;

    impl Form<char> for Letters {
        fn piece(&mut self, piece: char, written: &mut Written) {
            // As a piece that holds nothing to tell.
            if piece != ' ' {
                written.event(&piece);
            }
        }

        fn end(&mut self, written: &mut Written) {
            written.words("end");
        }

        fn error(&mut self, error: ApiError, written: &mut Written) {
            written.words(&error.message);
        }
    }

    async fn frame(body: &mut AnswerBody) -> Option<String> {
        let frame = body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_that_are_there_leave_together_and_none_is_waited_for() {
        let pieces = stream::iter(['b', ' ', 'c'].map(Ok)).chain(stream::pending()).boxed();
        let mut body = answer(Some('a'), pieces, Letters).into_body();
        assert_eq!(frame(&mut body).await.unwrap(), "data: \"a\"\n\ndata: \"b\"\n\ndata: \"c\"\n\n");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hears_nothing_is_told_every_fifteen_seconds_that_the_answer_goes_on() {
        let mut at = 0;
        let late = stream::repeat_with(move || {
            at += 1;
            at
        });
        let late = late.then(async |at| {
            tokio::time::sleep(Duration::from_secs(if at == 1 { 10 } else { 40 })).await;
            Ok('x')
        });
        let begun = Instant::now();
        let mut body = answer(None, late.boxed(), Letters).into_body();
        let mut seconds = Vec::new();
        for _ in 0..4 {
            let said = frame(&mut body).await.unwrap();
            seconds.push((begun.elapsed().as_secs(), said.starts_with(':')));
        }
        assert_eq!(seconds, [(10, false), (25, true), (40, true), (50, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_follows_an_error_and_an_end_is_told_once() {
        let error = Err(ApiError::new(ErrorKind::Internal, "broke"));
        for (last, told) in [(Some(error), "broke"), (None, "end")] {
            let pieces = stream::iter([Ok('b')].into_iter().chain(last)).boxed();
            let mut body = answer(Some('a'), pieces, Letters).into_body();
            assert_eq!(frame(&mut body).await.unwrap(), format!("data: \"a\"\n\ndata: \"b\"\n\ndata: {told}\n\n"));
            assert!(body.is_end_stream() && frame(&mut body).await.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_taken_than_one_frame_holds() {
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&taken);
        let pieces = stream::repeat_with(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok('a')
        });
        let mut body = answer(None, pieces.boxed(), Letters).into_body();
        let length = frame(&mut body).await.unwrap().len();
        assert!((GATHERED..GATHERED + 64).contains(&length), "{length}");
        assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), length / "data: \"a\"\n\n".len());
    }
}
