//! What of an answer is there as soon as its head is.
//!
//! Most answers are: one message, and the trailers behind it. They wait for their event whole, so that they leave in one piece: a head and a message that go ahead of the trailers cost
//! the gateway and the caller a packet and a waking more, and nobody can use them.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use torchmesh_api::error::ErrorKind;
use torchmesh_relay::BoxError;
use torchmesh_spool::Ticket;

use super::call::MeteredCall;

/// An answer that is longer begins to leave before it is there whole: nothing is kept back that could fill memory.
const LONGEST: usize = 64 << 10;

/// The first frames of an answer.
#[derive(Debug, Default)]
pub(super) struct Ahead(VecDeque<Result<Frame<Bytes>, BoxError>>);

/// Whether that was all.
pub(super) enum Read {
    /// More is to come.
    Part,
    /// The answer is whole, and this is its event.
    Whole(Option<Ticket>),
}

impl Ahead {
    /// Takes what is there of a body, and tells the call of its end if that is among it.
    pub(super) fn read<B>(body: &mut B, call: &mut MeteredCall, cx: &mut Context<'_>) -> (Self, Read)
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        let (mut ahead, mut bytes) = (Self::default(), 0);
        while bytes <= LONGEST {
            if body.is_end_stream() {
                return (ahead, Read::Whole(call.end()));
            }
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else { break };
            let Some(frame) = frame else { return (ahead, Read::Whole(call.end())) };
            let trailers = frame.as_ref().ok().and_then(Frame::trailers_ref);
            let ticket = match (&frame, trailers) {
                (Err(_), _) => {
                    // Nobody waits for an end that is none.
                    drop(call.fail(ErrorKind::Internal));
                    Some(None)
                }
                (Ok(_), Some(trailers)) => {
                    call.trailers(trailers);
                    Some(call.end())
                }
                (Ok(data), None) => {
                    bytes += data.data_ref().map_or(0, Bytes::len);
                    None
                }
            };
            ahead.0.push_back(frame);
            if let Some(ticket) = ticket {
                return (ahead, Read::Whole(ticket));
            }
        }
        (ahead, Read::Part)
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all that is left.
    pub(super) fn bytes(&self) -> u64 {
        let data = self.0.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        data.map(|data| data.len() as u64).sum()
    }
}
