//! A body that is either passed on or the proxy's own.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{BoxError, RelayBody};

/// What a proxy answers with.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every answer is the large variant: a box would cost each of them an allocation")]
pub enum Answer<B, O> {
    /// Another service's answer.
    Relayed(RelayBody<B>),
    /// Its own.
    Own(O),
}

impl<B, O> Default for Answer<B, O> {
    fn default() -> Self {
        Self::Relayed(RelayBody::empty())
    }
}

impl<B, O> Body for Answer<B, O>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    O: Body<Data = Bytes> + Unpin,
    O::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Relayed(body) => Pin::new(body).poll_frame(cx),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relayed(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relayed(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
