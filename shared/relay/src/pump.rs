//! Moves a call's body from its source to an endpoint's stream, as the endpoint's windows allow.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;
use http_body::Body;

use crate::{BoxError, source::Source};

/// Why a body stopped moving.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The caller's stream broke: nobody is there to answer.
    Caller,
    /// The endpoint's stream broke: its response tells why.
    Endpoint,
}

#[derive(Debug)]
pub(crate) struct Pump {
    stream: SendStream<Bytes>,
    /// Data for which the endpoint has no window yet.
    waiting: Option<Bytes>,
    begun: bool,
    finished: bool,
    sent: usize,
}

/// A first frame up to this size is handed over without asking for window. A new stream has none until its headers have left, and asking
/// would send headers and message in two writes; what `h2` may have to hold for it is bounded by one such frame a call.
const FIRST_FRAME: usize = 16 << 10;

impl Pump {
    pub(crate) fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, waiting: None, begun: false, finished: false, sent: 0 }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// How many bytes were moved.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Moves what can be moved now. Ready when everything was sent.
    pub(crate) fn poll<B>(&mut self, source: &mut Source<B>, cx: &mut Context<'_>) -> Poll<Result<(), PumpError>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        while !self.finished {
            ready!(self.poll_waiting(source, cx))?;
            if self.finished {
                break;
            }
            if let Some(data) = source.take() {
                self.offer(data, source.is_exhausted())?;
            } else if !ready!(source.poll_more(cx)).map_err(|_| PumpError::Caller)? {
                self.send(Bytes::new(), true)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn offer(&mut self, data: Bytes, last: bool) -> Result<(), PumpError> {
        if !std::mem::replace(&mut self.begun, true) && data.len() <= FIRST_FRAME {
            return self.send(data, last);
        }
        self.stream.reserve_capacity(data.len());
        if self.stream.capacity() < data.len() {
            self.waiting = Some(data);
            return Ok(());
        }
        self.send(data, last)
    }

    fn send(&mut self, data: Bytes, last: bool) -> Result<(), PumpError> {
        self.finished = last;
        self.sent += data.len();
        self.stream.send_data(data, last).map_err(|_| PumpError::Endpoint)
    }

    fn poll_waiting<B>(&mut self, source: &Source<B>, cx: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        while let Some(mut data) = self.waiting.take() {
            // What is there already is not announced again.
            let window = match self.stream.capacity() {
                0 => self.stream.poll_capacity(cx),
                window => Poll::Ready(Some(Ok(window))),
            };
            let window = match window {
                Poll::Ready(Some(window)) => window.map_err(|_| PumpError::Endpoint)?,
                // The stream is closed; why is for the response to tell.
                Poll::Ready(None) => {
                    self.finished = true;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    self.waiting = Some(data);
                    return Poll::Pending;
                }
            };
            let part = data.split_to(window.min(data.len()));
            let all = data.is_empty();
            self.send(part, all && source.is_exhausted())?;
            if !all {
                // Only now: `h2` counts what is buffered on top, so that reserving before the send would give away the rest's window.
                self.stream.reserve_capacity(data.len());
                self.waiting = Some(data);
            }
        }
        Poll::Ready(Ok(()))
    }
}
