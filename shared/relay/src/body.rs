//! The body of an answer on its way back to the caller.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use torchmesh_api::headers::{GRPC_MESSAGE, GRPC_STATUS};

use crate::{BoxError, pump::Pump, source::Source, ticket::Ticket};

/// An endpoint's answer: what was held back while a retry was possible, then the rest as it comes.
///
/// An endpoint that breaks off ends the body with the trailers of UNAVAILABLE, so that a gRPC client gets a status and not a reset.
#[derive(Debug)]
pub struct RelayBody<B> {
    held: VecDeque<Bytes>,
    rest: Rest,
    /// The caller's body, while it is still being sent.
    upload: Option<(Pump, Source<B>)>,
    ticket: Option<Ticket>,
}

#[derive(Debug)]
pub(crate) enum Rest {
    Data(RecvStream),
    Trailers(Option<HeaderMap>),
}

impl<B> RelayBody<B> {
    /// A body without content.
    pub fn empty() -> Self {
        Self { held: VecDeque::new(), rest: Rest::Trailers(None), upload: None, ticket: None }
    }

    pub(crate) fn new(held: VecDeque<Bytes>, rest: Rest, upload: Option<(Pump, Source<B>)>, ticket: Ticket) -> Self {
        Self { held, rest, upload, ticket: Some(ticket) }
    }
}

impl<B> Body for RelayBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some((pump, source)) = &mut this.upload {
            match pump.poll(source, cx) {
                Poll::Pending => {}
                // A caller that stopped sending has reset its stream: whoever polls this body learns of it there.
                Poll::Ready(_) => this.upload = None,
            }
        }
        if let Some(data) = this.held.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Rest::Data(stream) = &mut this.rest {
            match ready!(poll_stream(stream, cx)) {
                Streamed::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Streamed::End(trailers) => this.rest = Rest::Trailers(trailers),
                Streamed::Broken(error) => {
                    tracing::debug!(%error, "an endpoint broke off its answer");
                    if let Some(ticket) = &mut this.ticket {
                        ticket.failed();
                    }
                    this.rest = Rest::Trailers(Some(broken_off()));
                }
            }
        }
        let Rest::Trailers(trailers) = &mut this.rest else { return Poll::Ready(None) };
        Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && matches!(self.rest, Rest::Trailers(None))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

pub(crate) enum Streamed {
    Data(Bytes),
    End(Option<HeaderMap>),
    Broken(h2::Error),
}

/// The next piece of an answer; the endpoint may send as much again.
pub(crate) fn poll_stream(stream: &mut RecvStream, cx: &mut Context<'_>) -> Poll<Streamed> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // Fails only for more than was received.
            let _ = stream.flow_control().release_capacity(data.len());
            Poll::Ready(Streamed::Data(data))
        }
        Some(Err(error)) => Poll::Ready(Streamed::Broken(error)),
        None => Poll::Ready(match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => Streamed::End(trailers),
            Err(error) => Streamed::Broken(error),
        }),
    }
}

fn broken_off() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("14"));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static("the instance stopped while it was answering; send the request again"));
    trailers
}
