//! Bodies as they come and go: as they are, or translated for a browser.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use torchmesh_relay::BoxError;
use torchmesh_runtime::server::Incoming;

/// A request's body.
#[derive(Debug)]
pub enum Asked {
    /// As it came.
    Plain(Incoming),
    /// Out of gRPC-Web.
    Web(tonic::body::Body),
}

impl Body for Asked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Plain(body) => Pin::new(body).poll_frame(cx),
            Self::Web(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Web(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Web(body) => body.size_hint(),
        }
    }
}

pin_project_lite::pin_project! {
    /// An answer's body.
    #[derive(Default)]
    #[project = Kind]
    #[allow(missing_docs)]
    pub enum Answer<B> {
        /// As the layers made it.
        Plain {
            #[pin]
            body: B,
        },
        /// Into gRPC-Web.
        Web {
            #[pin]
            body: tonic::body::Body,
        },
        /// None.
        #[default]
        Empty,
    }
}

impl<B: Body<Data = Bytes, Error = BoxError>> Body for Answer<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            Kind::Plain { body } => body.poll_frame(cx),
            Kind::Web { body } => body.poll_frame(cx).map_err(Into::into),
            Kind::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain { body } => body.is_end_stream(),
            Self::Web { body } => body.is_end_stream(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain { body } => body.size_hint(),
            // `tonic-web` tells the length of the gRPC answer, and appends the status to it: HTTP/1.1 would cut that off.
            Self::Web { .. } => SizeHint::default(),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}
