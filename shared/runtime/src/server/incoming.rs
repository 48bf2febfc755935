//! The body of a request as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;

/// A request's body: HTTP/2 frames as they arrive, or hyper's for HTTP/1.1.
#[derive(Debug)]
pub struct Incoming(Kind);

#[derive(Debug)]
enum Kind {
    Http2 { stream: RecvStream, data_done: bool },
    Http1(hyper::body::Incoming),
    Empty,
}

impl Incoming {
    /// A body without content.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    pub(super) fn http2(stream: RecvStream) -> Self {
        Self(Kind::Http2 { stream, data_done: false })
    }

    pub(super) fn http1(body: hyper::body::Incoming) -> Self {
        Self(Kind::Http1(body))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Http2 { stream, data_done } => {
                if !*data_done {
                    match ready!(stream.poll_data(cx)) {
                        Some(Ok(data)) => {
                            // Whoever asks for the next frame has taken this one: the sender may send as much again.
                            let released = stream.flow_control().release_capacity(data.len());
                            return Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(Into::into)));
                        }
                        Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                        None => *data_done = true,
                    }
                }
                let trailers = ready!(stream.poll_trailers(cx));
                Poll::Ready(trailers.map_err(Into::into).map(|map| map.map(Frame::trailers)).transpose())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2 { .. } => SizeHint::default(),
        }
    }
}
