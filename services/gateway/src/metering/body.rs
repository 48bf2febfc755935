//! Bodies that count what goes through them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{Measured, flow::Flow};

/// A request's body on its way in.
#[derive(Debug)]
pub struct Coming<B> {
    body: B,
    measured: Arc<Measured>,
}

impl<B> Coming<B> {
    /// Counts what comes of `body`.
    pub fn new(body: B, measured: Arc<Measured>) -> Self {
        Self { body, measured }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Coming<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.measured.came(data.len());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project_lite::pin_project! {
    /// An answer's body on its way out. One that answers no call that is measured counts nothing.
    #[derive(Debug)]
    pub struct Going<B> {
        #[pin]
        body: B,
        measured: Option<Arc<Measured>>,
        flow: Option<Flow>,
    }
}

impl<B> Going<B> {
    /// Counts what goes of `body`; and what is in it, where it is a stream of a worker's answers.
    pub fn new(body: B, measured: Arc<Measured>, flow: Option<Flow>) -> Self {
        Self { body, measured: Some(measured), flow }
    }
}

impl<B> From<B> for Going<B> {
    fn from(body: B) -> Self {
        Self { body, measured: None, flow: None }
    }
}

impl<B: Default> Default for Going<B> {
    fn default() -> Self {
        Self::from(B::default())
    }
}

impl<B: Body<Data = Bytes>> Body for Going<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(measured)) = (&frame, this.measured)
            && let Some(data) = frame.data_ref()
        {
            measured.went(data.len());
            if let Some(flow) = this.flow {
                flow.pass(data);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
