//! The answer on its way, and whoever goes on with it.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use tokio::time::Instant;
use tonic::Status;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::GRPC_STATUS,
};
use torchmesh_relay::Messages;

use super::{MOST, Resumable, Resumes, Way};

type Begins = Pin<Box<dyn Future<Output = Result<Messages, ApiError>> + Send>>;

/// See the module.
pub(super) struct Resumed {
    asked: Arc<(Way, Resumable)>,
    from: From,
    /// The tokens that the caller has.
    told: Vec<u32>,
    /// The caller has been told why the answer ended: what is missing is what it has used.
    complete: bool,
    left: usize,
    resumes: Resumes,
}

/// Where the next piece comes from.
enum From {
    Worker(Box<Messages>),
    /// Another worker, which is being asked.
    Another(Begins),
    Nowhere,
}

impl Resumed {
    pub(super) fn new(way: Way, request: Resumable, messages: Messages, resumes: Resumes) -> Self {
        let asked = Arc::new((way, request));
        Self { asked, from: From::Worker(Box::new(messages)), told: Vec::new(), complete: false, left: MOST, resumes }
    }

    /// What there is to tell, if anything: of an answer whose end was told, another worker may say that it has ended.
    fn message(&mut self, message: &Bytes) -> Option<Frame<Bytes>> {
        let piece = self.asked.1.piece(message);
        if piece.ends && mem::replace(&mut self.complete, true) {
            return None;
        }
        self.told.extend(piece.tokens);
        Some(Frame::data(frame::framed(message)))
    }

    /// Whether another worker may do better than one that ended with this.
    fn may_resume(&self, error: &ApiError) -> bool {
        error.kind == ErrorKind::Unavailable && self.left > 0 && Instant::now() < self.asked.0.deadline
    }

    fn resume(&mut self) -> Begins {
        let (asked, told, target) = (Arc::clone(&self.asked), self.told.clone(), &self.asked.0.target);
        self.left -= 1;
        self.resumes.count(target);
        tracing::info!(model = %target.model, tokens = told.len(), "an answer broke off; another worker is asked to go on with it");
        Box::pin(async move { asked.0.ask(&asked.1, &told).await })
    }
}

impl Body for Resumed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        loop {
            let next = match &mut this.from {
                From::Nowhere => return Poll::Ready(None),
                From::Worker(messages) => ready!(messages.poll_next(cx)),
                From::Another(begins) => match ready!(begins.as_mut().poll(cx)) {
                    Ok(messages) => {
                        this.from = From::Worker(Box::new(messages));
                        continue;
                    }
                    Err(error) => Some(Err(error)),
                },
            };
            let end = match next {
                Some(Ok(message)) => match this.message(&message) {
                    Some(told) => return Poll::Ready(Some(Ok(told))),
                    None => continue,
                },
                Some(Err(error)) if this.may_resume(&error) => {
                    this.from = From::Another(this.resume());
                    continue;
                }
                Some(Err(error)) => trailers(error),
                None => good(),
            };
            this.from = From::Nowhere;
            return Poll::Ready(Some(Ok(Frame::trailers(end))));
        }
    }
}

fn good() -> HeaderMap {
    HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))])
}

fn trailers(error: ApiError) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if Status::from(error).add_header(&mut trailers).is_err() {
        // Its message cannot be a header; the code can.
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("14"));
    }
    trailers
}
