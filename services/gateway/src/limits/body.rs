//! A body whose end is the end of what its call is charged.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::ticket::Ticket;

/// Closes the ticket when it is dropped, whatever that is for: an answer that came to its end, or a caller who left.
#[derive(Debug)]
pub struct Closes(pub(super) Arc<Ticket>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

pin_project_lite::pin_project! {
    /// See the module.
    pub struct Charged<B> {
        #[pin]
        body: B,
        _closes: Option<Closes>,
    }
}

impl<B> Charged<B> {
    /// The body of an answer to a call with a ticket.
    pub fn new(body: B, closes: Closes) -> Self {
        Self { body, _closes: Some(closes) }
    }
}

impl<B> From<B> for Charged<B> {
    fn from(body: B) -> Self {
        Self { body, _closes: None }
    }
}

impl<B: Default> Default for Charged<B> {
    fn default() -> Self {
        Self::from(B::default())
    }
}

impl<B: Body<Data = Bytes>> Body for Charged<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
