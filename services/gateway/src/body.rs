//! A request's body, read up to a limit and kept as the pieces of memory in which it arrived.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body as RequestBody, extract::Request, http::header::CONTENT_LENGTH, middleware::Next, response::Response};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use torchmesh_api::error::{ApiError, ErrorKind};

use crate::form::Form;

/// A piece smaller than this is copied to its neighbours: kept as it is, it would cost more to hold than it holds.
const SMALL: usize = 4096;
/// Small pieces are gathered into ones of about this size.
const GATHERED: usize = 64 << 10;

/// Bytes in one piece or in several, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Segments {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Segments {
    /// How many bytes there are in all.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Adds others at the end.
    pub fn append(&mut self, mut others: Self) {
        self.length += others.length;
        self.pieces.append(&mut others.pieces);
    }

    /// Takes the first `count` bytes off, without copying them; `None`, and nothing taken, when there are not so many.
    pub fn take(&mut self, count: usize) -> Option<Self> {
        if count > self.length {
            return None;
        }
        let mut taken = Self::default();
        while taken.length < count {
            let left = count - taken.length;
            let mut piece = self.pieces.pop_front()?;
            if piece.len() > left {
                let rest = piece.split_off(left);
                self.pieces.push_front(rest);
            }
            taken.push(piece);
        }
        self.length -= count;
        Some(taken)
    }

    /// All of it in one piece: copied only where it is in several.
    pub fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() < 2 {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut joined = BytesMut::with_capacity(self.length);
        self.pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    }
}

impl From<Bytes> for Segments {
    fn from(piece: Bytes) -> Self {
        let mut segments = Self::default();
        segments.push(piece);
        segments
    }
}

impl From<Segments> for VecDeque<Bytes> {
    fn from(segments: Segments) -> Self {
        segments.pieces
    }
}

impl Body for Segments {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.length -= piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

/// Pieces on their way into [`Segments`], the small ones gathered.
#[derive(Debug, Default)]
struct Gathering {
    segments: Segments,
    small: BytesMut,
}

impl Gathering {
    fn length(&self) -> usize {
        self.segments.length + self.small.len()
    }

    fn add(&mut self, piece: Bytes) {
        if piece.len() < SMALL {
            self.small.extend_from_slice(&piece);
            if self.small.len() < GATHERED {
                return;
            }
            self.segments.push(self.small.split().freeze());
        } else {
            self.segments.push(self.small.split().freeze());
            self.segments.push(piece);
        }
    }

    fn end(mut self) -> Segments {
        self.segments.push(self.small.freeze());
        self.segments
    }
}

/// Reads a body to its end.
///
/// Errors: TooLarge as soon as more than `limit` bytes have come; Cancelled when the caller stopped in the middle.
pub async fn read(mut body: RequestBody, limit: usize) -> Result<Segments, ApiError> {
    let mut gathering = Gathering::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::new(ErrorKind::Cancelled, "the body broke off before its end"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if gathering.length() + piece.len() > limit {
            let message = format!("the body has more than {limit} bytes, which is the limit; send fewer or shorter inputs");
            return Err(ApiError::new(ErrorKind::TooLarge, message));
        }
        gathering.add(piece);
    }
    Ok(gathering.end())
}

/// A body up to so many times the limit is read to its end and thrown away, since most clients hear nothing before they have said all;
/// with a larger one the answer comes at once, and the connection closes.
const READ_OUT: usize = 4;

/// Refuses a body that announces more than it may have, before any of it takes memory.
pub async fn refuse_too_large(max_body: usize, request: Request, next: Next) -> Response {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let Some(length) = announced.filter(|&length| length > max_body) else { return next.run(request).await };
    let form = Form::of(request.uri(), request.headers());
    if length / READ_OUT <= max_body {
        let mut body = request.into_body();
        while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
    }
    let message = format!("the body has {length} bytes and the limit is {max_body}; send fewer or shorter inputs");
    form.render(&ApiError::new(ErrorKind::TooLarge, message))
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use proptest::prelude::*;
    use tokio_stream::iter;

    use super::*;

    fn body(pieces: Vec<Bytes>) -> RequestBody {
        RequestBody::new(StreamBody::new(iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece))))))
    }

    #[tokio::test]
    async fn a_large_piece_is_kept_as_the_memory_it_came_in() {
        let piece = Bytes::from(vec![7; 1 << 20]);
        let mut read = read(body(vec![Bytes::from_static(b"head"), piece.clone()]), 2 << 20).await.unwrap();
        assert_eq!(read.take(4).unwrap().into_bytes(), "head");
        assert_eq!(read.into_bytes().as_ptr(), piece.as_ptr());
    }

    #[tokio::test]
    async fn a_body_of_single_bytes_is_held_in_few_pieces() {
        let read = read(body((0..200_000).map(|_| Bytes::from_static(b"x")).collect()), 1 << 20).await.unwrap();
        assert!(read.pieces.len() <= 4, "{} pieces", read.pieces.len());
        assert_eq!(read.len(), 200_000);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_at_the_first_byte_too_many() {
        let refused = read(body(vec![Bytes::from(vec![0; 10]); 3]), 25).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::TooLarge);
        assert!(read(body(vec![Bytes::from(vec![0; 10]); 3]), 30).await.is_ok());
    }

    proptest! {
        #[test]
        fn what_is_taken_and_what_is_left_is_what_there_was(sizes in proptest::collection::vec(0_usize..9000, 0..12), part in 0_usize..60_000) {
            let mut next = 0_u8;
            let mut gathering = Gathering::default();
            let mut whole = Vec::new();
            for size in sizes {
                let piece: Vec<u8> = (0..size).map(|_| { next = next.wrapping_add(1); next }).collect();
                whole.extend_from_slice(&piece);
                gathering.add(Bytes::from(piece));
            }
            let mut segments = gathering.end();
            prop_assert_eq!(segments.len(), whole.len());
            match segments.take(part) {
                None => prop_assert!(part > whole.len()),
                Some(taken) => {
                    prop_assert_eq!(taken.len(), part);
                    prop_assert_eq!(&taken.into_bytes()[..], &whole[..part]);
                    prop_assert_eq!(&segments.into_bytes()[..], &whole[part..]);
                }
            }
        }
    }
}
