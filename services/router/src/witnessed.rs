//! An answer on its way to the caller, seen to its end: how the call ended is counted, a copy of it may go to a route's shadow, and the answer
//! may be kept.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use torchmesh_api::headers::GRPC_STATUS;

use crate::{
    cache::Keeping,
    mirror::Copy,
    watching::{Ending, Watch},
};

/// See the module.
#[derive(Debug, Default)]
pub struct Witnessed<B> {
    body: B,
    watch: Option<Watch>,
    copy: Option<Box<Copy>>,
    keeping: Option<Box<Keeping>>,
}

impl<B> Witnessed<B> {
    /// Around the answer to a call that is counted, and perhaps copied or kept.
    pub fn around(response: Response<B>, watch: Watch, copy: Option<Box<Copy>>, keeping: Option<Box<Keeping>>) -> Response<Self> {
        let (head, body) = response.into_parts();
        let mut witnessed = Self { body, watch: Some(watch), copy, keeping };
        witnessed.status(&head.headers);
        Response::from_parts(head, witnessed)
    }

    /// Around what is nobody's business.
    pub fn unseen(body: B) -> Self {
        Self { body, watch: None, copy: None, keeping: None }
    }

    /// Counts the call if its status is in these headers, and if it was answered, sends the copy and keeps the answer.
    fn status(&mut self, headers: &HeaderMap) {
        let Some(status) = headers.get(GRPC_STATUS) else { return };
        let ending = Ending::of(status.as_bytes());
        if let Some(mut watch) = self.watch.take() {
            watch.ends(ending);
        }
        if let Some(copy) = self.copy.take().filter(|_| ending == Ending::Answered) {
            copy.send();
        }
        if let Some(keeping) = self.keeping.take().filter(|_| ending == Ending::Answered) {
            keeping.ends(headers);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Witnessed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        // The end, and nobody said how: to a gRPC client that is UNKNOWN.
        if let Some(mut watch) = this.watch.take_if(|_| matches!(frame, Poll::Ready(None))) {
            watch.ends(Ending::Failed);
        }
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            if let (Some(data), Some(copy)) = (frame.data_ref(), &mut this.copy)
                && !copy.answered(data)
            {
                this.copy = None;
            }
            if let (Some(data), Some(keeping)) = (frame.data_ref(), &mut this.keeping)
                && !keeping.goes_on(data)
            {
                this.keeping = None;
            }
            if let Some(trailers) = frame.trailers_ref() {
                this.status(trailers);
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
