//! An answer of which the first piece may have been read ahead.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::BoxError;

/// The body of an answer; its first piece was waited for where the call could still have been sent again.
#[derive(Debug)]
pub struct Begun<B> {
    first: Option<Frame<Bytes>>,
    rest: Pin<Box<B>>,
}

impl<B> Begun<B> {
    pub(crate) fn unread(body: B) -> Self {
        Self { first: None, rest: Box::pin(body) }
    }

    /// The trailers, when nothing was in front of them.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.first.as_ref()?.trailers_ref()
    }
}

impl<B> Begun<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Waits for the first piece.
    pub(crate) async fn read(body: B) -> Result<Self, BoxError> {
        let mut rest = Box::pin(body);
        let first = rest.frame().await.transpose().map_err(Into::into)?;
        Ok(Self { first, rest })
    }
}

impl<B> Body for Begun<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.rest.as_mut().poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What was read ahead is no longer in the other's count.
        if self.first.is_some() { SizeHint::default() } else { self.rest.size_hint() }
    }
}
