//! What is sent, kept as far as it may be sent again.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::{Status, body::Body};

/// The body of a call.
pub(crate) enum Outgoing {
    /// All of it is here, and within the bound: it may be sent any number of times.
    Whole(Parts),
    /// It is longer than the bound, or still being made: it is sent once. Its beginning was read already.
    Once(Parts, Body),
}

/// The pieces of a body, shared by each copy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(VecDeque<Bytes>);

impl Outgoing {
    /// Reads what is there without waiting: of a unary call that is all, of a stream that its caller still writes it is the beginning.
    ///
    /// Error: the body's own.
    pub(crate) async fn read(mut body: Body, bound: usize) -> Result<Self, Status> {
        let (mut parts, mut bytes) = (Parts::default(), 0);
        let whole = poll_fn(|cx| {
            loop {
                let frame = match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Ready(Some(frame)) => frame?,
                    Poll::Ready(None) => return Poll::Ready(Ok(true)),
                    Poll::Pending => return Poll::Ready(Ok(false)),
                };
                let data = frame.into_data().map_err(|_| Status::internal("the body of a call has trailers, which gRPC does not know"))?;
                bytes += data.len();
                parts.0.push_back(data);
                if bytes > bound {
                    return Poll::Ready(Ok::<_, Status>(false));
                }
            }
        });
        Ok(if whole.await? { Self::Whole(parts) } else { Self::Once(parts, body) })
    }
}

impl Parts {
    pub(crate) fn body(&self) -> Body {
        Body::new(self.clone())
    }

    pub(crate) fn followed_by(self, rest: Body) -> Body {
        Body::new(Followed { parts: self, rest })
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

struct Followed {
    parts: Parts,
    rest: Body,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.parts.0.pop_front() {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.0.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn pieces(count: usize) -> Body {
        let frames = (0..count).map(|_| Ok::<_, Status>(Frame::data(Bytes::from_static(b"0123456789"))));
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn length(body: Body) -> usize {
        body.collect().await.unwrap().to_bytes().len()
    }

    #[tokio::test]
    async fn a_body_within_the_bound_is_sent_any_number_of_times() {
        let Outgoing::Whole(parts) = Outgoing::read(pieces(3), 30).await.unwrap() else { panic!("30 bytes are within the bound") };
        assert_eq!((length(parts.body()).await, length(parts.body()).await), (30, 30));
    }

    #[tokio::test]
    async fn a_longer_body_goes_out_whole_and_once() {
        let Outgoing::Once(parts, rest) = Outgoing::read(pieces(5), 29).await.unwrap() else { panic!("50 bytes are over the bound") };
        assert_eq!(length(parts.followed_by(rest)).await, 50);
    }

    #[tokio::test]
    async fn a_body_that_fails_is_not_sent_as_if_it_had_ended() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"first"))), Err(Status::data_loss("it broke"))];
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        assert_eq!(Outgoing::read(body, 1 << 20).await.err().unwrap().message(), "it broke");
    }

    #[tokio::test]
    async fn a_stream_that_is_still_written_is_not_waited_for() {
        use futures_util::StreamExt as _;
        let begun = futures_util::stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(b"first")))]);
        let body = Body::new(StreamBody::new(begun.chain(futures_util::stream::pending())));
        let Outgoing::Once(parts, rest) = Outgoing::read(body, 1 << 20).await.unwrap() else { panic!("it has no end") };
        assert_eq!(parts.followed_by(rest).frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    }
}
